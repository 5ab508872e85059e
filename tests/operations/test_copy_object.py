"""CopyObject."""

from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.raw import RawClient

from .listed import refused
from .multipart import FIRST, NAMESPACE, SECOND, checksum, composite, made_bytes, md5_of, read, upload

DESCRIPTION = {
    "ContentType": "text/css",
    "ContentEncoding": "gzip",
    "ContentDisposition": "inline",
    "ContentLanguage": "de",
    "CacheControl": "no-store",
    "Metadata": {"a_b": "1", "c": "2"},
}
PAST, FUTURE = datetime(2001, 1, 1, tzinfo=UTC), datetime.now(UTC) + timedelta(days=1)


def described(s3: Any, bucket: str, key: str) -> dict[str, Any]:
    head = s3.head_object(Bucket=bucket, Key=key)
    return {name: head[name] for name in DESCRIPTION if name in head}


@pytest.mark.parametrize("size", [0, 1, 300_000, 1_500_000])
def test_copy_object_keeps_bytes_headers_and_metadata(s3: Any, bucket: str, size: int) -> None:
    data = made_bytes(size)
    s3.put_object(Bucket=bucket, Key="source", Body=data, **DESCRIPTION)
    answer = s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/source")["CopyObjectResult"]
    assert answer["ETag"] == md5_of(data) and abs(datetime.now(UTC) - answer["LastModified"]) < timedelta(seconds=30)
    assert read(s3, bucket, "copy") == data and described(s3, bucket, "copy") == DESCRIPTION  # B077
    assert s3.head_object(Bucket=bucket, Key="copy")["ETag"] == md5_of(data)


def test_copy_object_returns_xml(s3: Any, bucket: str, raw: RawClient) -> None:
    s3.put_object(Bucket=bucket, Key="source", Body=b"x", ChecksumAlgorithm="SHA256")
    answer = raw.send("PUT", f"/{bucket}/copy", "", [("x-amz-copy-source", f"/{bucket}/source")])
    root = ElementTree.fromstring(answer.body)
    assert (answer.status, answer.headers["content-type"], root.tag) == (200, "application/xml", f"{NAMESPACE}CopyObjectResult")
    names = [child.tag.removeprefix(NAMESPACE) for child in root]
    assert names == ["LastModified", "ETag", "ChecksumSHA256", "ChecksumType"]
    assert root.findtext(f"{NAMESPACE}ETag") == md5_of(b"x")


def test_copy_object_with_copy_ignores_new_metadata(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="source", Body=b"x", **DESCRIPTION)
    sent = {"ContentType": "text/plain", "Metadata": {"new": "1"}, "CacheControl": "private"}
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/source", MetadataDirective="COPY", **sent)
    assert described(s3, bucket, "copy") == DESCRIPTION  # B077


def test_copy_object_with_replace_uses_only_new_metadata(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="source", Body=b"x", **DESCRIPTION)
    sent = {"ContentType": "text/plain", "Metadata": {"new_one": "1"}}
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/source", MetadataDirective="REPLACE", **sent)
    assert described(s3, bucket, "copy") == sent and read(s3, bucket, "copy") == b"x"
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/source", MetadataDirective="REPLACE")
    assert described(s3, bucket, "copy") == {"ContentType": "binary/octet-stream", "Metadata": {}}  # B077


def test_copy_object_with_unknown_directive_is_refused(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="source", Body=b"x")
    arguments = {"Bucket": bucket, "Key": "copy", "CopySource": f"{bucket}/source", "MetadataDirective": "MERGE"}
    assert refused(400, "InvalidArgument", s3.copy_object, **arguments)["Message"] == "Unknown metadata directive."  # B077


def test_copy_object_onto_itself_without_change_is_refused(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    for extra in ({}, {"MetadataDirective": "COPY"}, {"MetadataDirective": "COPY", "Metadata": {"a": "b"}}, {"ACL": "private"}):
        error = refused(400, "InvalidRequest", s3.copy_object, Bucket=bucket, Key="k", CopySource=f"{bucket}/k", **extra)
        assert error["Message"] == (  # B076
            "This copy request is illegal because it is trying to copy an object to itself without changing the object's "
            "metadata, storage class, website redirect location or encryption attributes."
        )


@pytest.mark.parametrize("size", [0, 10, 1_500_000])
def test_copy_object_onto_itself_with_a_change(s3: Any, bucket: str, size: int) -> None:
    data = made_bytes(size)
    s3.put_object(Bucket=bucket, Key="k", Body=data, Metadata={"old": "1"})
    same = {"Bucket": bucket, "Key": "k", "CopySource": f"{bucket}/k"}
    s3.copy_object(**same, MetadataDirective="REPLACE", Metadata={"new": "2"})
    assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == {"new": "2"}
    s3.copy_object(**same, StorageClass="STANDARD")  # B076
    head = s3.head_object(Bucket=bucket, Key="k")
    assert (head["Metadata"], head["ETag"]) == ({"new": "2"}, md5_of(data))
    s3.copy_object(**same, MetadataDirective="REPLACE")
    assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == {} and read(s3, bucket, "k") == data


def test_copy_object_of_several_parts_onto_itself_with_a_change(s3: Any, bucket: str) -> None:
    upload(s3, bucket, "k", {1: FIRST, 2: b"end"})
    s3.copy_object(Bucket=bucket, Key="k", CopySource=f"{bucket}/k", MetadataDirective="REPLACE", Metadata={"new": "2"})
    assert read(s3, bucket, "k") == FIRST + b"end" and s3.head_object(Bucket=bucket, Key="k")["Metadata"] == {"new": "2"}


def test_copy_object_of_several_parts(s3: Any, bucket: str) -> None:
    # B078, D21
    upload(s3, bucket, "source", {1: FIRST, 5: SECOND, 7: b"end"}, Metadata={"a": "b"})
    answer = s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/source")["CopyObjectResult"]
    whole = FIRST + SECOND + b"end"
    s3.delete_object(Bucket=bucket, Key="source")
    got = s3.get_object(Bucket=bucket, Key="copy")
    assert got["Body"].read() == whole and got["Metadata"] == {"a": "b"}
    assert got["ETag"] == answer["ETag"]
    edge = len(FIRST) + len(SECOND)
    assert read(s3, bucket, "copy", Range=f"bytes={len(FIRST) - 1}-{edge}") == whole[len(FIRST) - 1 : edge + 1]


def test_copy_object_survives_its_source(s3: Any, bucket: str) -> None:
    data = made_bytes(1_500_000)
    s3.put_object(Bucket=bucket, Key="source", Body=data)
    for key in ("one", "two"):
        s3.copy_object(Bucket=bucket, Key=key, CopySource=f"{bucket}/source")
    s3.delete_object(Bucket=bucket, Key="source")
    assert read(s3, bucket, "one") == data
    s3.put_object(Bucket=bucket, Key="one", Body=b"other")
    assert read(s3, bucket, "two") == data and read(s3, bucket, "one") == b"other"
    s3.copy_object(Bucket=bucket, Key="three", CopySource=f"{bucket}/two")
    s3.delete_object(Bucket=bucket, Key="two")
    assert read(s3, bucket, "three") == data


def test_copy_object_over_another_replaces_all_of_it(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="source", Body=b"source", Metadata={"new": "1"})
    upload(s3, bucket, "target", {1: FIRST, 2: b"x"}, Metadata={"old": "1"}, ContentLanguage="de")
    s3.copy_object(Bucket=bucket, Key="target", CopySource=f"{bucket}/source")
    got = s3.get_object(Bucket=bucket, Key="target")
    assert (got["Body"].read(), got["Metadata"], got["ETag"]) == (b"source", {"new": "1"}, md5_of(b"source"))
    assert "ContentLanguage" not in got and "PartsCount" not in s3.head_object(Bucket=bucket, Key="target", PartNumber=1)


def test_copy_object_between_buckets(s3: Any, bucket: str) -> None:
    other = f"{bucket}-other"
    s3.create_bucket(Bucket=other)
    s3.put_object(Bucket=other, Key="k", Body=b"x")
    s3.copy_object(Bucket=bucket, Key="k", CopySource={"Bucket": other, "Key": "k"})
    s3.delete_object(Bucket=other, Key="k")
    s3.delete_bucket(Bucket=other)
    assert read(s3, bucket, "k") == b"x"


@pytest.mark.parametrize(
    "key",
    ["a b", "a+b", "a%2Fb", "ü/😀", "a?b", "a?versionId=null", "a&b=c#d", "/a", "a//b", "a/../b", ".", "a/", "'\"<>", "a\x01"],
)
def test_copy_object_with_special_characters(s3: Any, bucket: str, key: str) -> None:
    s3.put_object(Bucket=bucket, Key=key, Body=key.encode())
    s3.copy_object(Bucket=bucket, Key=f"copy of {key}", CopySource={"Bucket": bucket, "Key": key})
    assert read(s3, bucket, f"copy of {key}") == key.encode()
    for name in (key, f"copy of {key}"):
        s3.delete_object(Bucket=bucket, Key=name)


@pytest.mark.parametrize(
    "source",
    ["{}/a%20%C3%BC", "/{}/a%20%C3%BC", "%2F{}%2Fa%20%C3%BC", "{}%2Fa%20%C3%BC", "{}/a ü", "{}/a%20%C3%BC?versionId=null"],
)
def test_copy_object_source_in_every_spelling(s3: Any, bucket: str, raw: RawClient, source: str) -> None:
    s3.put_object(Bucket=bucket, Key="a ü", Body=b"x")
    answer = raw.send("PUT", f"/{bucket}/copy", "", [("x-amz-copy-source", source.format(bucket))])
    assert answer.status == 200, answer.body  # B074
    assert read(s3, bucket, "copy") == b"x"


@pytest.mark.parametrize("source", ["nothing", "/", "{}", "{}/", "/{}/", "{}/%FF", "{}/%00"])
def test_copy_object_with_malformed_source_is_refused(bucket: str, raw: RawClient, source: str) -> None:
    answer = raw.send("PUT", f"/{bucket}/copy", "", [("x-amz-copy-source", source.format(bucket))])
    assert answer.status == 400 and b"<Code>InvalidArgument</Code>" in answer.body
    assert b"<Message>Invalid copy source object key</Message><ArgumentName>x-amz-copy-source</ArgumentName>" in answer.body


def test_copy_object_of_missing_sources(s3: Any, bucket: str) -> None:
    copy = {"Bucket": bucket, "Key": "copy"}
    assert refused(404, "NoSuchKey", s3.copy_object, **copy, CopySource=f"{bucket}/missing")["Key"] == "missing"  # B075
    error = refused(404, "NoSuchBucket", s3.copy_object, **copy, CopySource="missing-bucket/k")
    assert error["BucketName"] == "missing-bucket"
    refused(404, "NoSuchKey", s3.get_object, Bucket=bucket, Key="copy")


def test_copy_object_into_missing_bucket(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    arguments = {"Bucket": "missing-bucket", "Key": "k", "CopySource": f"{bucket}/k"}
    assert refused(404, "NoSuchBucket", s3.copy_object, **arguments)["BucketName"] == "missing-bucket"


def test_copy_object_into_a_bucket_with_an_impossible_name(s3: Any, bucket: str, raw: RawClient) -> None:
    """No storage could create files under this name."""
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    answer = raw.send("PUT", "/%0Dup/k", headers=[("x-amz-copy-source", f"/{bucket}/k")])
    assert answer is not None and answer.status == 404 and b"<Code>NoSuchBucket</Code>" in answer.body


def test_copy_object_to_too_long_key_is_refused(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    refused(400, "KeyTooLongError", s3.copy_object, Bucket=bucket, Key="k" * 1025, CopySource=f"{bucket}/k")


@pytest.mark.parametrize(
    ("conditions", "failing"),
    [
        ({"IfMatch": "there"}, None),
        ({"IfMatch": "other"}, "If-Match"),
        ({"IfNoneMatch": "other"}, None),
        ({"IfNoneMatch": "there"}, "If-None-Match"),
        ({"IfModifiedSince": PAST}, None),
        ({"IfModifiedSince": FUTURE - timedelta(days=1)}, "If-Modified-Since"),
        ({"IfUnmodifiedSince": FUTURE}, None),
        ({"IfUnmodifiedSince": PAST}, "If-Unmodified-Since"),
        ({"IfMatch": "there", "IfUnmodifiedSince": PAST}, None),
        ({"IfNoneMatch": "there", "IfModifiedSince": PAST}, "If-None-Match"),
        ({"IfNoneMatch": "there", "IfUnmodifiedSince": PAST}, "If-Unmodified-Since"),
    ],
)
def test_copy_object_under_conditions(s3: Any, bucket: str, conditions: dict[str, Any], failing: str | None) -> None:
    etags = {"there": s3.put_object(Bucket=bucket, Key="source", Body=b"x")["ETag"], "other": md5_of(b"other")}
    arguments = {
        "Bucket": bucket,
        "Key": "copy",
        "CopySource": f"{bucket}/source",
        **{f"CopySource{name}": etags.get(value, value) for name, value in conditions.items()},
    }
    if "IfModifiedSince" in conditions and failing == "If-Modified-Since":
        arguments["CopySourceIfModifiedSince"] = s3.head_object(Bucket=bucket, Key="source")["LastModified"]
    if failing is None:
        s3.copy_object(**arguments)
        assert read(s3, bucket, "copy") == b"x"
        return
    error = refused(412, "PreconditionFailed", s3.copy_object, **arguments)
    assert error["Condition"] == f"x-amz-copy-source-{failing}"  # B079
    refused(404, "NoSuchKey", s3.get_object, Bucket=bucket, Key="copy")


def test_copy_object_with_conditions_on_the_target(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="source", Body=b"source")
    s3.put_object(Bucket=bucket, Key="target", Body=b"target")
    copy = {"Bucket": bucket, "Key": "target", "CopySource": f"{bucket}/source"}
    assert refused(412, "PreconditionFailed", s3.copy_object, **copy, IfNoneMatch="*")["Condition"] == "If-None-Match"  # B071
    assert refused(412, "PreconditionFailed", s3.copy_object, **copy, IfMatch=md5_of(b"x"))["Condition"] == "If-Match"  # B072
    assert read(s3, bucket, "target") == b"target"
    s3.copy_object(**copy, IfMatch=md5_of(b"target"))
    s3.copy_object(**{**copy, "Key": "new"}, IfNoneMatch="*")
    assert read(s3, bucket, "target") == read(s3, bucket, "new") == b"source"


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "SHA1", "SHA256", "CRC64NVME"])
def test_copy_object_keeps_the_checksum(s3: Any, bucket: str, algorithm: str) -> None:
    s3.put_object(Bucket=bucket, Key="source", Body=b"12345", ChecksumAlgorithm=algorithm)
    answer = s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/source")["CopyObjectResult"]
    assert (answer[f"Checksum{algorithm}"], answer["ChecksumType"]) == (checksum(algorithm, b"12345"), "FULL_OBJECT")
    head = s3.head_object(Bucket=bucket, Key="copy", ChecksumMode="ENABLED")
    assert (head[f"Checksum{algorithm}"], head["ChecksumType"]) == (checksum(algorithm, b"12345"), "FULL_OBJECT")


def test_copy_object_of_parts_returns_the_same_checksum_everywhere(s3: Any, bucket: str) -> None:
    kind = {"ChecksumAlgorithm": "CRC32"}
    upload_id = s3.create_multipart_upload(Bucket=bucket, Key="source", **kind)["UploadId"]
    same = {"Bucket": bucket, "Key": "source", "UploadId": upload_id}
    parts = []
    for number, data in ((1, FIRST), (2, b"end")):
        part = s3.upload_part(**same, PartNumber=number, Body=data, **kind)
        parts.append({"PartNumber": number, "ETag": part["ETag"], "ChecksumCRC32": part["ChecksumCRC32"]})
    s3.complete_multipart_upload(**same, MultipartUpload={"Parts": parts})
    answer = s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/source")["CopyObjectResult"]
    head = s3.head_object(Bucket=bucket, Key="copy", ChecksumMode="ENABLED")
    whole = {"COMPOSITE": composite("CRC32", FIRST, b"end"), "FULL_OBJECT": checksum("CRC32", FIRST + b"end")}
    for told in (answer, head):
        assert told["ChecksumCRC32"] == whole[told["ChecksumType"]]
    assert answer["ETag"] == head["ETag"]


@pytest.mark.parametrize(
    "header", ["x-amz-copy-source-server-side-encryption-customer-algorithm", "x-amz-website-redirect-location", "x-amz-tagging"]
)
def test_copy_object_with_unimplemented_features_is_501(s3: Any, bucket: str, raw: RawClient, header: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    answer = raw.send("PUT", f"/{bucket}/copy", "", [("x-amz-copy-source", f"{bucket}/k"), (header, "AES256")])
    assert answer.status == 501 and f"<Header>{header}</Header>".encode() in answer.body


def test_copy_object_with_tagging_directive_replace_is_not_implemented(s3: Any, bucket: str, raw: RawClient) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    headers = [("x-amz-copy-source", f"{bucket}/k"), ("x-amz-tagging-directive", "REPLACE")]
    assert raw.send("PUT", f"/{bucket}/copy", "", headers).status == 501
