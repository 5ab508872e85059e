"""CopyObject with x-amz-checksum-algorithm: the checksum is computed if the source does not have one (B143)."""

from typing import Any

import pytest

from ..raw import RawClient
from .listed import refused
from .multipart import FIRST, checksum, made_bytes, read, upload

ALGORITHMS = ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"]
ITSELF = "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata"


def checksum_of(s3: Any, bucket: str, key: str) -> dict[str, str]:
    """Return the checksum fields of the object's HEAD response."""
    head = s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
    return {name: value for name, value in head.items() if name.startswith("Checksum")}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("size", [0, 5, 3 << 20], ids=["empty", "small", "large"])
def test_copy_object_with_another_checksum_algorithm(s3: Any, bucket: str, algorithm: str, size: int) -> None:
    body = made_bytes(size)
    etag = s3.put_object(Bucket=bucket, Key="source", Body=body, ChecksumAlgorithm="CRC32")["ETag"]
    source = {"Bucket": bucket, "Key": "source"}
    expected = {f"Checksum{algorithm}": checksum(algorithm, body), "ChecksumType": "FULL_OBJECT"}
    copied = s3.copy_object(Bucket=bucket, Key="copy", CopySource=source, ChecksumAlgorithm=algorithm)["CopyObjectResult"]
    assert {name: value for name, value in copied.items() if name.startswith("Checksum")} == expected
    assert copied["ETag"] == etag
    assert (checksum_of(s3, bucket, "copy"), read(s3, bucket, "copy") == body) == (expected, True)
    s3.copy_object(Bucket=bucket, Key="again", CopySource={"Bucket": bucket, "Key": "copy"})
    assert checksum_of(s3, bucket, "again") == expected


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("named", [{"ChecksumAlgorithm": "CRC32"}, {"ChecksumAlgorithm": "SHA256"}, {}])
def test_copy_object_of_parts_with_a_checksum_algorithm(s3: Any, bucket: str, algorithm: str, named: dict[str, str]) -> None:
    upload(s3, bucket, "source", {1: FIRST, 2: b"end"}, **named)
    source = {"Bucket": bucket, "Key": "source"}
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=source, ChecksumAlgorithm=algorithm)
    expected = {f"Checksum{algorithm}": checksum(algorithm, FIRST + b"end"), "ChecksumType": "FULL_OBJECT"}
    assert (checksum_of(s3, bucket, "copy"), read(s3, bucket, "copy") == FIRST + b"end") == (expected, True)


@pytest.mark.parametrize("algorithm", ["CRC32C", "SHA256"])
def test_copy_object_onto_itself_with_a_checksum_algorithm(s3: Any, bucket: str, algorithm: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", Metadata={"a": "1"}, ChecksumAlgorithm="CRC32")
    arguments = {"Bucket": bucket, "Key": "k", "CopySource": {"Bucket": bucket, "Key": "k"}, "ChecksumAlgorithm": algorithm}
    before = checksum_of(s3, bucket, "k")
    assert refused(400, "InvalidRequest", s3.copy_object, **arguments)["Message"].startswith(ITSELF)  # B076
    assert checksum_of(s3, bucket, "k") == before
    s3.copy_object(**arguments, Metadata={"a": "2"}, MetadataDirective="REPLACE")
    assert checksum_of(s3, bucket, "k") == {f"Checksum{algorithm}": checksum(algorithm, b"x"), "ChecksumType": "FULL_OBJECT"}
    assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == {"a": "2"}


@pytest.mark.parametrize("algorithm", ["nonsense", "CRC16", "sha-256", "crc32,crc32c", "ü"])
def test_copy_object_with_an_unknown_checksum_algorithm_is_refused(s3: Any, raw: RawClient, bucket: str, algorithm: str) -> None:
    s3.put_object(Bucket=bucket, Key="source", Body=b"x")
    headers = [("x-amz-copy-source", f"/{bucket}/source"), ("x-amz-checksum-algorithm", algorithm)]
    answer = raw.send("PUT", f"/{bucket}/copy", headers=headers)
    assert answer.status == 400 and b"<Code>InvalidRequest</Code>" in answer.body
    assert b"[CRC32, CRC32C, CRC64NVME, SHA1, SHA256]" in answer.body  # B142
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket)["Contents"]] == ["source"]


@pytest.mark.parametrize("algorithm", ["SHA512", "XXHASH64"])
def test_copy_object_with_a_checksum_algorithm_that_is_not_implemented(
    s3: Any, raw: RawClient, bucket: str, algorithm: str
) -> None:
    s3.put_object(Bucket=bucket, Key="source", Body=b"x")
    headers = [("x-amz-copy-source", f"/{bucket}/source"), ("x-amz-checksum-algorithm", algorithm)]
    answer = raw.send("PUT", f"/{bucket}/copy", headers=headers)
    assert answer.status == 501 and algorithm.encode() in answer.body
