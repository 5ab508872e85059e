"""DeleteObjects: POST /bucket?delete."""

import base64
import hashlib
from typing import Any
from xml.etree import ElementTree

import pytest

from ..helpers import NAMESPACE, keys_of, refusal, refusal_of, status_of
from ..raw import RawClient, RawResponse


def post(raw: RawClient, bucket: str, document: str | bytes) -> RawResponse:
    """Send a Delete document with its MD5."""
    body = document.encode() if isinstance(document, str) else document
    md5 = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
    response = raw.send("POST", f"/{bucket}", "delete", headers=[("Content-MD5", md5)], body=body)
    assert response is not None
    return response


def objects(*keys: str) -> str:
    return "".join(f"<Object><Key>{key}</Key></Object>" for key in keys)


def test_delete_objects_deletes_and_reports_each_key_and_missing_ones(s3: Any, bucket: str) -> None:
    # B066
    for key in "abc":
        s3.put_object(Bucket=bucket, Key=key, Body=b"x" * 100)
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in ("c", "missing", "a")]})
    assert status_of(answer) == 200
    assert answer["Deleted"] == [{"Key": "c"}, {"Key": "missing"}, {"Key": "a"}]
    assert "Errors" not in answer
    assert keys_of(s3, bucket) == ["b"]


def test_delete_objects_returns_a_document(raw: RawClient, bucket: str) -> None:
    response = post(raw, bucket, f"<Delete>{objects('a')}</Delete>")
    assert (response.status, response.headers["content-type"]) == (200, "application/xml")
    assert response.body.decode() == (
        '<?xml version="1.0" encoding="UTF-8"?>\n<DeleteResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        "<Deleted><Key>a</Key></Deleted></DeleteResult>"
    )


def test_delete_objects_quietly_reports_nothing(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"a")
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a"}], "Quiet": True})
    assert "Deleted" not in answer and "Errors" not in answer
    assert keys_of(s3, bucket) == []


def test_delete_objects_accepts_at_most_a_thousand_keys(s3: Any, bucket: str) -> None:
    # B067
    for key in ("k0000", "k0999", "k1000"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"a")
    keys = [{"Key": f"k{number:04}"} for number in range(1001)]
    refused = refusal(s3.delete_objects, Bucket=bucket, Delete={"Objects": keys})
    assert (refused.status, refused.code) == (400, "MalformedXML")
    assert refused.message == "The XML you provided was not well-formed or did not validate against our published schema"
    assert keys_of(s3, bucket) == ["k0000", "k0999", "k1000"]
    assert len(s3.delete_objects(Bucket=bucket, Delete={"Objects": keys[:1000]})["Deleted"]) == 1000
    assert keys_of(s3, bucket) == ["k1000"]


@pytest.mark.parametrize(
    "document",
    [
        *("", "nonsense", "<Delete></Delete>", "<Delete>", "<Other/>", "<Delete><Object/></Delete>"),
        "<Delete><Object><Key></Key></Object></Delete>",
        "<Delete><Object><Key>a</Key><Key>b</Key></Object></Delete>",
        "<!DOCTYPE a [<!ENTITY b 'a'>]><Delete><Object><Key>&b;</Key></Object></Delete>",
    ],
)
def test_delete_objects_with_a_malformed_document_deletes_nothing(s3: Any, raw: RawClient, bucket: str, document: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"a")
    refused = refusal_of(post(raw, bucket, document))
    assert (refused.status, refused.code) == (400, "MalformedXML")
    assert keys_of(s3, bucket) == ["a"]


def test_delete_objects_of_keys_as_they_are_written(s3: Any, raw: RawClient, bucket: str) -> None:
    # B069
    for key in ("a%2Fb", "a/b", " a ", "a+b", "ü&<>"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"a")
    response = post(raw, bucket, f"<Delete>{objects('a%2Fb', ' a ', 'ü&amp;&lt;&gt;')}</Delete>")
    root = ElementTree.fromstring(response.body)
    assert [deleted.findtext(f"{NAMESPACE}Key") for deleted in root] == ["a%2Fb", " a ", "ü&<>"]
    assert keys_of(s3, bucket) == ["a+b", "a/b"]


def test_delete_objects_without_a_checksum_is_refused(s3: Any, raw: RawClient, bucket: str) -> None:
    # B068
    s3.put_object(Bucket=bucket, Key="a", Body=b"a")
    refused = refusal_of(raw.send("POST", f"/{bucket}", "delete", body=f"<Delete>{objects('a')}</Delete>".encode()))
    assert (refused.status, refused.code) == (400, "InvalidRequest")
    assert refused.message == "Missing required header for this request: Content-MD5 OR x-amz-checksum-*"
    assert keys_of(s3, bucket) == ["a"]


def test_delete_objects_with_a_wrong_md5_deletes_nothing(s3: Any, raw: RawClient, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"a")
    headers = [("Content-MD5", base64.b64encode(bytes(16)).decode())]
    refused = refusal_of(raw.send("POST", f"/{bucket}", "delete", headers, f"<Delete>{objects('a')}</Delete>".encode()))
    assert (refused.status, refused.code) == (400, "BadDigest")
    assert keys_of(s3, bucket) == ["a"]


def test_delete_objects_with_an_invalid_version_reports_the_error(s3: Any, bucket: str) -> None:
    for key in "ab":
        s3.put_object(Bucket=bucket, Key=key, Body=b"a")
    recorded = "HPniJFCxqTsMuIH9KX8K8wEjNUgmABCD"
    wanted = [{"Key": "a", "VersionId": "nonsense"}, {"Key": "b", "VersionId": "null"}, {"Key": "missing", "VersionId": recorded}]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": wanted})
    assert [deleted["Key"] for deleted in answer["Deleted"]] == ["b"]
    message = {"Code": "NoSuchVersion", "Message": "The specified version does not exist."}  # B145
    assert answer["Errors"] == [
        {"Key": "a", "VersionId": "nonsense", **message},
        {"Key": "missing", "VersionId": recorded, **message},
    ]
    assert keys_of(s3, bucket) == ["a"]


def test_delete_objects_with_only_invalid_versions_reports_each_even_quietly(s3: Any, bucket: str) -> None:
    wanted = [{"Key": key, "VersionId": "1"} for key in "ab"]
    for quiet in (True, False):
        answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": wanted, "Quiet": quiet})
        assert [(error["Key"], error["Code"]) for error in answer["Errors"]] == [("a", "NoSuchVersion"), ("b", "NoSuchVersion")]
        assert "Deleted" not in answer
    refused = refusal(s3.delete_objects, Bucket="missing-bucket", Delete={"Objects": wanted})
    assert (refused.status, refused.code) == (404, "NoSuchBucket")


def test_delete_objects_with_conditions_reports_each(s3: Any, bucket: str) -> None:
    etags = {key: s3.put_object(Bucket=bucket, Key=key, Body=key.encode())["ETag"] for key in "abcd"}
    wanted = [
        {"Key": "a", "ETag": etags["a"]},
        {"Key": "b", "ETag": etags["a"]},
        {"Key": "c", "ETag": etags["c"].strip('"')},
        {"Key": "missing", "ETag": etags["a"]},
        {"Key": "d"},
    ]
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": wanted})  # B146
    assert {deleted["Key"] for deleted in answer["Deleted"]} == {"a", "c", "d"}
    assert {error["Key"]: error["Code"] for error in answer["Errors"]} == {"b": "PreconditionFailed", "missing": "NoSuchKey"}
    assert keys_of(s3, bucket) == ["b"]


@pytest.mark.parametrize("condition", ["<Size>1</Size>", "<LastModifiedTime>Wed, 21 Oct 2026 07:28:00 GMT</LastModifiedTime>"])
def test_delete_objects_under_a_condition_of_directory_buckets_deletes_nothing(
    s3: Any, raw: RawClient, bucket: str, condition: str
) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"a")
    answer = post(raw, bucket, f"<Delete><Object><Key>a</Key>{condition}</Object></Delete>")
    assert answer.status == 200 and b"<Key>a</Key><Code>NotImplemented</Code>" in answer.body  # B065
    assert keys_of(s3, bucket) == ["a"]


@pytest.mark.parametrize(("quiet", "deleted"), [("true", 0), ("1", 0), (" TRUE ", 0), ("false", 1), ("0", 1), ("", 1)])
def test_delete_objects_with_every_spelling_of_quiet(raw: RawClient, bucket: str, quiet: str, deleted: int) -> None:
    answer = post(raw, bucket, f"<Delete>{objects('a')}<Quiet>{quiet}</Quiet></Delete>")
    assert (answer.status, answer.body.count(b"<Deleted>")) == (200, deleted)


def test_delete_objects_with_an_invalid_quiet_deletes_nothing(s3: Any, raw: RawClient, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"a")
    for quiet in ("<Quiet>maybe</Quiet>", "<Quiet>true</Quiet><Quiet>false</Quiet>"):
        assert refusal_of(post(raw, bucket, f"<Delete>{objects('a')}{quiet}</Delete>")).code == "MalformedXML"
    assert keys_of(s3, bucket) == ["a"]


def test_delete_objects_of_a_missing_bucket_is_refused(s3: Any) -> None:
    refused = refusal(s3.delete_objects, Bucket="missing-bucket", Delete={"Objects": [{"Key": "a"}]})
    assert (refused.status, refused.code) == (404, "NoSuchBucket")
    assert refused.fields == {"BucketName": "missing-bucket"}


def test_delete_objects_of_one_key_twice_is_one(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"a")
    answer = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a"}, {"Key": "a"}]})
    assert {deleted["Key"] for deleted in answer["Deleted"]} == {"a"} and "Errors" not in answer
    assert keys_of(s3, bucket) == []


def test_delete_objects_that_bypasses_a_retention_no_bucket_has_is_refused(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"a")
    delete = {"Objects": [{"Key": "a"}]}
    refused = refusal(s3.delete_objects, Bucket=bucket, Delete=delete, BypassGovernanceRetention=True)  # B070
    assert (refused.status, refused.code) == (400, "InvalidArgument")
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"a"
