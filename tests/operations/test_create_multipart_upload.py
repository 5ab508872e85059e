"""CreateMultipartUpload."""

from typing import Any
from xml.etree import ElementTree

import pytest

from tests.raw import RawClient

from .listed import refused
from .multipart import NAMESPACE, begin, complete, read, send


def test_create_multipart_upload_returns_bucket_key_and_id(bucket: str, raw: RawClient) -> None:
    answer = raw.send("POST", f"/{bucket}/a%20%3C%C3%BC/b", "uploads=")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/xml")
    root = ElementTree.fromstring(answer.body)
    assert root.tag == f"{NAMESPACE}InitiateMultipartUploadResult"
    assert [(child.tag.removeprefix(NAMESPACE), child.text) for child in root][:2] == [("Bucket", bucket), ("Key", "a <ü/b")]
    assert [child.tag for child in root][2:] == [f"{NAMESPACE}UploadId"] and len(root[2].text) >= 16
    assert not [name for name in answer.headers if name.startswith("x-amz-checksum")]


def test_create_multipart_upload_twice_for_a_key_gives_two_uploads(s3: Any, bucket: str) -> None:
    first, second = begin(s3, bucket, "k"), begin(s3, bucket, "k")
    assert first != second
    one, two = send(s3, bucket, "k", first, {1: b"first"}), send(s3, bucket, "k", second, {1: b"second"})
    complete(s3, bucket, "k", second, two)
    assert read(s3, bucket, "k") == b"second"
    complete(s3, bucket, "k", first, one)
    assert read(s3, bucket, "k") == b"first"


def test_create_multipart_upload_shows_no_object(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="old", Body=b"old")
    for key in ("old", "new"):
        send(s3, bucket, key, begin(s3, bucket, key), {1: b"part"})
    assert read(s3, bucket, "old") == b"old"
    refused(404, "NoSuchKey", s3.get_object, Bucket=bucket, Key="new")
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["old"]


@pytest.mark.parametrize(
    ("algorithm", "asked", "answered"),
    [
        ("CRC32", None, "COMPOSITE"),
        ("CRC32C", None, "COMPOSITE"),
        ("SHA1", None, "COMPOSITE"),
        ("SHA256", None, "COMPOSITE"),
        ("CRC64NVME", None, "FULL_OBJECT"),
        ("CRC32", "FULL_OBJECT", "FULL_OBJECT"),
        ("CRC32C", "FULL_OBJECT", "FULL_OBJECT"),
        ("SHA1", "COMPOSITE", "COMPOSITE"),
    ],
)
def test_create_multipart_upload_with_checksum_algorithm(
    s3: Any, bucket: str, algorithm: str, asked: str | None, answered: str
) -> None:
    kind = {"ChecksumType": asked} if asked else {}
    answer = s3.create_multipart_upload(Bucket=bucket, Key="k", ChecksumAlgorithm=algorithm, **kind)
    assert (answer["ChecksumAlgorithm"], answer["ChecksumType"]) == (algorithm, answered)  # B061
    listed = s3.list_parts(Bucket=bucket, Key="k", UploadId=answer["UploadId"])
    assert (listed["ChecksumAlgorithm"], listed["ChecksumType"]) == (algorithm, answered)


@pytest.mark.parametrize(("algorithm", "kind"), [("SHA1", "FULL_OBJECT"), ("SHA256", "FULL_OBJECT"), ("CRC64NVME", "COMPOSITE")])
def test_create_multipart_upload_with_impossible_checksum_type_is_refused(
    s3: Any, bucket: str, algorithm: str, kind: str
) -> None:
    arguments = {"ChecksumAlgorithm": algorithm, "ChecksumType": kind}
    error = refused(400, "InvalidRequest", s3.create_multipart_upload, Bucket=bucket, Key="k", **arguments)
    assert error["Message"] == f"The {kind} checksum type cannot be used with the {algorithm.lower()} checksum algorithm."


def test_create_multipart_upload_with_checksum_type_alone_is_refused(bucket: str, raw: RawClient) -> None:
    answer = raw.send("POST", f"/{bucket}/k", "uploads=", [("x-amz-checksum-type", "COMPOSITE")])
    assert answer.status == 400 and b"<Code>InvalidRequest</Code>" in answer.body  # B061


@pytest.mark.parametrize(("algorithm", "status"), [("CRC16", 400), ("TEST", 400), ("crc-32", 400), ("SHA512", 501)])
def test_create_multipart_upload_with_unknown_checksum_algorithm_is_refused(
    bucket: str, raw: RawClient, algorithm: str, status: int
) -> None:
    answer = raw.send("POST", f"/{bucket}/k", "uploads=", [("x-amz-checksum-algorithm", algorithm)])
    assert answer.status == status
    message = (
        b"Checksum algorithm provided is unsupported. Please try again with any of the valid types: "
        b"[CRC32, CRC32C, CRC64NVME, SHA1, SHA256]"  # B142
    )
    assert (message in answer.body) == (status == 400)


def test_create_multipart_upload_in_missing_bucket(s3: Any) -> None:
    error = refused(404, "NoSuchBucket", s3.create_multipart_upload, Bucket="missing-bucket", Key="k")
    assert error["BucketName"] == "missing-bucket"


def test_create_multipart_upload_with_too_long_key_is_refused(s3: Any, bucket: str) -> None:
    begin(s3, bucket, "k" * 1024)
    error = refused(400, "KeyTooLongError", s3.create_multipart_upload, Bucket=bucket, Key="ü" * 512 + "k")
    assert (error["Size"], error["MaxSizeAllowed"]) == ("1025", "1024")  # B024


def test_create_multipart_upload_with_unknown_storage_class_is_refused(s3: Any, bucket: str) -> None:
    arguments = {"Bucket": bucket, "Key": "k", "StorageClass": "COLDEST"}
    error = refused(400, "InvalidStorageClass", s3.create_multipart_upload, **arguments)
    assert error["StorageClassRequested"] == "COLDEST"  # B035


def test_create_multipart_upload_with_too_much_metadata_is_refused(s3: Any, bucket: str) -> None:
    begin(s3, bucket, "k", Metadata={"a": "x" * 2047})
    arguments = {"Bucket": bucket, "Key": "k", "Metadata": {"a": "x" * 2048}}
    error = refused(400, "MetadataTooLarge", s3.create_multipart_upload, **arguments)
    assert (error["Size"], error["MaxSizeAllowed"]) == ("2049", "2048")  # B027


@pytest.mark.parametrize(
    "header", ["x-amz-server-side-encryption-customer-algorithm", "x-amz-tagging", "x-amz-object-lock-mode", "x-amz-acl"]
)
def test_create_multipart_upload_with_unimplemented_features_is_501(bucket: str, raw: RawClient, header: str) -> None:
    answer = raw.send("POST", f"/{bucket}/k", "uploads=", [(header, "public-read")])
    assert answer.status == 501 and f"<Header>{header}</Header>".encode() in answer.body
