"""`x-amz-copy-source` names a source, form-decoded once, with a valid bucket name (B074, B150, B151)."""

from typing import Any
from urllib.parse import quote_plus

import pytest

from ..helpers import read, refusal_of
from ..raw import RawClient

KEYS = ("my file", "my+file", "only plus+", "a%2Bb", "what?", "what?versionId=null", "é +")


@pytest.fixture
def sources(s3: Any, bucket: str) -> None:
    """Store objects whose bytes are their keys."""
    for key in KEYS:
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode())


def copy(raw: RawClient, bucket: str, source: str) -> Any:
    return raw.send("PUT", f"/{bucket}/copy", headers=[("x-amz-copy-source", source)])


@pytest.mark.parametrize(
    ("source", "key"),
    [
        ("my+file", "my file"),
        ("my%20file", "my file"),
        ("my%2Bfile", "my+file"),
        ("my%2bfile", "my+file"),
        ("only+plus%2B", "only plus+"),
        ("a%252Bb", "a%2Bb"),  # decoded once only: a doubly encoded key stays encoded once
        ("what%3F", "what?"),
        ("what%3FversionId=null", "what?versionId=null"),
        ("what%3F?versionId=null", "what?"),
        ("my+file?versionId=null", "my file"),
        (quote_plus("é +"), "é +"),
    ],
)
@pytest.mark.parametrize("slash", ["", "/", "%2F"])
def test_copy_source_is_decoded_as_forms_are(
    s3: Any, sources: None, bucket: str, raw: RawClient, source: str, key: str, slash: str
) -> None:
    assert copy(raw, bucket, f"{slash}{bucket}/{source}").status == 200
    assert read(s3, bucket, "copy") == key.encode()


def test_whole_copy_source_in_form_encoding(s3: Any, sources: None, bucket: str, raw: RawClient) -> None:
    for key in KEYS:
        assert copy(raw, bucket, quote_plus(f"/{bucket}/{key}")).status == 200
        assert read(s3, bucket, "copy") == key.encode()


def test_upload_part_copy_decodes_its_source_alike(s3: Any, sources: None, bucket: str, raw: RawClient) -> None:
    for source, key in (("my+file", "my file"), ("my%2Bfile", "my+file"), ("only+plus%2B", "only plus+")):
        whole = {"Bucket": bucket, "Key": "copy", "UploadId": s3.create_multipart_upload(Bucket=bucket, Key="copy")["UploadId"]}
        query = f"partNumber=1&uploadId={whole['UploadId']}"
        part = raw.send("PUT", f"/{bucket}/copy", query, headers=[("x-amz-copy-source", f"{bucket}/{source}")])
        assert part is not None and part.status == 200
        parts = [{"PartNumber": 1, "ETag": s3.list_parts(**whole)["Parts"][0]["ETag"]}]
        s3.complete_multipart_upload(**whole, MultipartUpload={"Parts": parts})
        assert read(s3, bucket, "copy") == key.encode()


def test_unencoded_plus_names_no_key_with_a_plus(s3: Any, bucket: str, raw: RawClient) -> None:
    s3.put_object(Bucket=bucket, Key="my+file", Body=b"plus")
    assert refusal_of(copy(raw, bucket, f"{bucket}/my+file")).fields == {"Key": "my file"}


def test_plus_in_a_path_is_a_plus(s3: Any, sources: None, bucket: str, raw: RawClient) -> None:
    query = raw.presign("GET", f"/{bucket}/my%2Bfile")  # signed in one canonical encoding, however it was sent
    for path in (f"/{bucket}/my+file", f"/{bucket}/my%2Bfile"):
        answer = raw.send("GET", path, query, signed=False)
        assert answer is not None and answer.body == b"my+file"


@pytest.mark.parametrize("version", ["versionId=%6Eull", "versionId=null&"])
def test_version_of_a_copy_source_is_decoded(s3: Any, sources: None, bucket: str, raw: RawClient, version: str) -> None:
    assert copy(raw, bucket, f"{bucket}/my+file?{version}").status == 200
    assert read(s3, bucket, "copy") == b"my file"


@pytest.mark.parametrize("version", ["versionId=", "versionId=+null", "versionId=nu+ll", "versionId", "other=1", "versionId=a"])
def test_unknown_version_of_a_source_is_refused(sources: None, bucket: str, raw: RawClient, version: str) -> None:
    refused = refusal_of(copy(raw, bucket, f"{bucket}/my+file?{version}"))
    assert (refused.status, refused.code, refused.message) == (400, "InvalidArgument", "Invalid version id specified")


@pytest.mark.parametrize(
    "source",
    [
        "arn:aws:s3:us-east-1:123456789012:accesspoint/point/object/my+file",
        "arn%3Aaws%3As3%3Aus-east-1%3A123456789012%3Aaccesspoint/point/object/my%20file",
        "arn:aws:s3:::{}/my%20file",
        "http://localhost:9000/{}/my%20file",
        "s3://{}/my%20file",
        "{}+/my%20file",
        "a/my%20file",
    ],
)
def test_copy_source_without_a_bucket_name_is_refused(sources: None, bucket: str, raw: RawClient, source: str) -> None:
    """B151"""
    refused = refusal_of(copy(raw, bucket, source.format(bucket)))
    assert (refused.status, refused.code, refused.message) == (400, "InvalidArgument", "Invalid copy source bucket name")
    assert refused.fields["ArgumentName"] == "x-amz-copy-source"
