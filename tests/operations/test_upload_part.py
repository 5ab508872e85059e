"""UploadPart."""

import base64
import hashlib
from typing import Any

import pytest

from tests.raw import RawClient

from .listed import refused
from .multipart import FIRST, begin, checksum, complete, made_bytes, md5_of, read, send

NO_SUCH_UPLOAD = (
    "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or completed."
)


def test_upload_part_returns_its_md5(bucket: str, s3: Any, raw: RawClient) -> None:
    upload_id = begin(s3, bucket, "k")
    answer = raw.send("PUT", f"/{bucket}/k", f"partNumber=1&uploadId={upload_id}", body=b"12345")
    assert (answer.status, answer.headers["etag"], answer.body) == (200, md5_of(b"12345"), b"")
    assert answer.headers["content-length"] == "0" and "content-type" not in answer.headers


@pytest.mark.parametrize("size", [0, 1, 256 * 1024, 256 * 1024 + 1, 1 << 20, (1 << 20) + 1, 3 << 20])
def test_upload_part_of_any_size_is_stored_completely(s3: Any, bucket: str, size: int) -> None:
    data = made_bytes(size, size)
    upload_id = begin(s3, bucket, "k")
    parts = send(s3, bucket, "k", upload_id, {1: data})
    assert parts[0]["ETag"] == md5_of(data)
    complete(s3, bucket, "k", upload_id, parts)
    assert read(s3, bucket, "k") == data


def test_upload_part_again_replaces_it(s3: Any, bucket: str) -> None:
    upload_id = begin(s3, bucket, "k")
    old = send(s3, bucket, "k", upload_id, {2: b"old"})
    new = send(s3, bucket, "k", upload_id, {2: b"newer"})
    listed = s3.list_parts(Bucket=bucket, Key="k", UploadId=upload_id)["Parts"]
    assert [(part["PartNumber"], part["ETag"], part["Size"]) for part in listed] == [(2, md5_of(b"newer"), 5)]
    arguments = {"Bucket": bucket, "Key": "k", "UploadId": upload_id}
    refused(400, "InvalidPart", s3.complete_multipart_upload, **arguments, MultipartUpload={"Parts": old})
    complete(s3, bucket, "k", upload_id, new)
    assert read(s3, bucket, "k") == b"newer"


@pytest.mark.parametrize("number", ["1", "10000"])
def test_upload_part_with_the_smallest_and_largest_numbers(s3: Any, bucket: str, raw: RawClient, number: str) -> None:
    upload_id = begin(s3, bucket, "k")
    assert raw.send("PUT", f"/{bucket}/k", f"partNumber={number}&uploadId={upload_id}", body=b"x").status == 200
    assert [part["PartNumber"] for part in s3.list_parts(Bucket=bucket, Key="k", UploadId=upload_id)["Parts"]] == [int(number)]


@pytest.mark.parametrize("number", ["0", "-1", "10001", "100000000000", "x", "", "1.0", "%D9%A1"])
def test_upload_part_with_impossible_number_is_refused(s3: Any, bucket: str, raw: RawClient, number: str) -> None:
    upload_id = begin(s3, bucket, "k")
    answer = raw.send("PUT", f"/{bucket}/k", f"partNumber={number}&uploadId={upload_id}", body=b"x")
    assert answer.status == 400 and b"<Code>InvalidArgument</Code>" in answer.body  # B082
    assert b"<Message>Part number must be an integer between 1 and 10000, inclusive</Message>" in answer.body
    assert b"<ArgumentName>partNumber</ArgumentName>" in answer.body


def test_upload_part_without_number_is_not_allowed(s3: Any, bucket: str, raw: RawClient) -> None:
    answer = raw.send("PUT", f"/{bucket}/k", f"uploadId={begin(s3, bucket, 'k')}", body=b"x")
    assert answer.status == 405 and b"<Code>MethodNotAllowed</Code>" in answer.body  # B008
    assert b"<ResourceType>UPLOAD</ResourceType>" in answer.body


@pytest.mark.parametrize("upload_id", ["nonsense", "0" * 64, "ü", "x" * 1000])
def test_upload_part_of_unknown_upload_is_refused(s3: Any, bucket: str, upload_id: str) -> None:
    arguments = {"Bucket": bucket, "Key": "k", "UploadId": upload_id, "PartNumber": 1, "Body": b"x"}
    error = refused(404, "NoSuchUpload", s3.upload_part, **arguments)
    assert (error["UploadId"], error["Message"]) == (upload_id, NO_SUCH_UPLOAD)  # B006


def test_upload_part_of_another_key_or_bucket_is_refused(s3: Any, bucket: str) -> None:
    upload_id = begin(s3, bucket, "k")
    arguments = {"UploadId": upload_id, "PartNumber": 1, "Body": b"x"}
    refused(404, "NoSuchUpload", s3.upload_part, Bucket=bucket, Key="other", **arguments)
    refused(404, "NoSuchBucket", s3.upload_part, Bucket="missing-bucket", Key="k", **arguments)
    assert "Parts" not in s3.list_parts(Bucket=bucket, Key="k", UploadId=upload_id)


def test_upload_part_after_abort_or_complete_is_refused(s3: Any, bucket: str) -> None:
    aborted, completed = begin(s3, bucket, "k"), begin(s3, bucket, "k")
    s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=aborted)
    complete(s3, bucket, "k", completed, send(s3, bucket, "k", completed, {1: b"x"}))
    for upload_id in (aborted, completed):
        arguments = {"Bucket": bucket, "Key": "k", "UploadId": upload_id, "PartNumber": 1, "Body": b"x"}
        assert refused(404, "NoSuchUpload", s3.upload_part, **arguments)["UploadId"] == upload_id


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "SHA1", "SHA256", "CRC64NVME"])
def test_upload_part_returns_the_checksum_of_the_uploads_algorithm(s3: Any, bucket: str, algorithm: str) -> None:
    upload_id = begin(s3, bucket, "k", ChecksumAlgorithm=algorithm)
    (part,) = send(s3, bucket, "k", upload_id, {1: b"12345"}, ChecksumAlgorithm=algorithm)
    assert part[f"Checksum{algorithm}"] == checksum(algorithm, b"12345")
    (listed,) = s3.list_parts(Bucket=bucket, Key="k", UploadId=upload_id)["Parts"]
    assert listed[f"Checksum{algorithm}"] == checksum(algorithm, b"12345")


def test_upload_part_without_checksum_gets_that_of_the_uploads_algorithm(s3: Any, bucket: str, raw: RawClient) -> None:
    upload_id = begin(s3, bucket, "k", ChecksumAlgorithm="SHA1")
    answer = raw.send("PUT", f"/{bucket}/k", f"partNumber=1&uploadId={upload_id}", body=b"12345")
    assert (answer.status, answer.headers["x-amz-checksum-sha1"]) == (200, checksum("SHA1", b"12345"))


def test_upload_part_with_another_algorithm_is_refused(s3: Any, bucket: str) -> None:
    upload_id = begin(s3, bucket, "k", ChecksumAlgorithm="SHA256")
    arguments = {"Bucket": bucket, "Key": "k", "UploadId": upload_id, "PartNumber": 1, "ChecksumAlgorithm": "CRC32"}
    for body in (b"12345", FIRST):
        error = refused(400, "InvalidRequest", s3.upload_part, **arguments, Body=body)  # B063
        assert error["Message"] == (
            "Checksum Type mismatch occurred, expected checksum Type: sha256, actual checksum Type: crc32"
        )
    assert "Parts" not in s3.list_parts(Bucket=bucket, Key="k", UploadId=upload_id)


@pytest.mark.parametrize("body", [b"12345", FIRST], ids=["small", "large"])
def test_upload_part_with_wrong_checksum_or_md5_is_refused(s3: Any, bucket: str, raw: RawClient, body: bytes) -> None:
    upload_id = begin(s3, bucket, "k")
    send(s3, bucket, "k", upload_id, {1: b"kept"})
    query, other = f"partNumber=1&uploadId={upload_id}", base64.b64encode(hashlib.md5(b"other").digest()).decode()
    answer = raw.send("PUT", f"/{bucket}/k", query, [("Content-MD5", other)], body)
    assert answer.status == 400 and b"<Code>BadDigest</Code>" in answer.body  # B031, in base64 for UploadPart
    assert f"<ExpectedDigest>{other}</ExpectedDigest>".encode() in answer.body
    calculated = base64.b64encode(hashlib.md5(body).digest()).decode()
    assert f"<CalculatedDigest>{calculated}</CalculatedDigest>".encode() in answer.body
    answer = raw.send("PUT", f"/{bucket}/k", query, [("x-amz-checksum-crc32", checksum("CRC32", b"other"))], body)
    assert answer.status == 400 and b"<Code>BadDigest</Code>" in answer.body  # B060
    assert b"<Message>The CRC32 you specified did not match the calculated checksum.</Message>" in answer.body
    (part,) = s3.list_parts(Bucket=bucket, Key="k", UploadId=upload_id)["Parts"]
    assert part["ETag"] == md5_of(b"kept")


def test_upload_part_over_five_gib_is_refused_before_it_is_sent(s3: Any, bucket: str, raw: RawClient) -> None:
    query = f"partNumber=1&uploadId={begin(s3, bucket, 'k')}"
    size = 5 * (1 << 30) + 1
    headers = [("Content-Length", str(size)), ("Expect", "100-continue")]
    answer = raw.send("PUT", f"/{bucket}/k", query, headers, payload_hash="UNSIGNED-PAYLOAD")
    assert answer.status == 400 and b"<Code>EntityTooLarge</Code>" in answer.body  # B032
    assert f"<ProposedSize>{size}</ProposedSize><MaxSizeAllowed>5368709120</MaxSizeAllowed>".encode() in answer.body


@pytest.mark.parametrize("size", [1000, len(FIRST)])
def test_interrupted_upload_part_is_not_a_part(s3: Any, bucket: str, raw: RawClient, size: int) -> None:
    upload_id = begin(s3, bucket, "k")
    send(s3, bucket, "k", upload_id, {1: b"kept"})
    query = f"partNumber=1&uploadId={upload_id}"
    raw.send("PUT", f"/{bucket}/k", query, body=FIRST[:size], cut_at=size // 2)
    raw.send("PUT", f"/{bucket}/k", query, body=FIRST[:size], payload_hash="UNSIGNED-PAYLOAD", cut_at=size - 1)
    (part,) = s3.list_parts(Bucket=bucket, Key="k", UploadId=upload_id)["Parts"]
    assert part["ETag"] == md5_of(b"kept")
