"""PutObject: PUT /bucket/key."""

import base64
import hashlib
import os
import zlib
from typing import Any

import pytest

from ..helpers import etag_of, headers_of, keys_of, path_of, query, read, refusal, refusal_of, status_of
from ..raw import RawClient
from ..servers import Server

MIB = 1 << 20
#: Sizes around the thresholds for storing, buffering and splitting bodies.
SIZES = (0, 1, 4096, 256 * 1024, 256 * 1024 + 1, MIB - 1, MIB, MIB + 1, 5 * MIB + 123)


def md5_of(body: bytes) -> str:
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


@pytest.mark.parametrize("size", SIZES)
def test_put_object_keeps_every_byte(s3: Any, bucket: str, size: int) -> None:
    body = os.urandom(size)
    answer = s3.put_object(Bucket=bucket, Key="a", Body=body)
    assert status_of(answer) == 200
    assert answer["ETag"] == etag_of(body)
    assert headers_of(answer)["content-length"] == "0"
    got = s3.get_object(Bucket=bucket, Key="a")
    assert (got["ETag"], got["ContentLength"]) == (etag_of(body), size)
    assert got["Body"].read() == body
    listed = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert [(entry["Key"], entry["Size"], entry["ETag"]) for entry in listed] == [("a", size, etag_of(body))]


@pytest.mark.parametrize("size", SIZES)
def test_put_object_with_its_payload_signed_keeps_every_byte(s3: Any, raw: RawClient, bucket: str, size: int) -> None:
    body = os.urandom(size)
    response = raw.send("PUT", f"/{bucket}/a", body=body)
    assert (response.status, response.body, response.headers["etag"]) == (200, b"", etag_of(body))
    assert response.headers["x-amz-request-id"] and response.headers["x-amz-id-2"] and response.headers["date"]
    assert read(s3, bucket, "a") == body


@pytest.mark.parametrize(("old", "new"), [(10, 20), (3 * MIB, 10), (10, 3 * MIB), (0, 10), (10, 0)])
def test_put_object_over_another_replaces_all_of_it(s3: Any, bucket: str, old: int, new: int) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=os.urandom(old), Metadata={"old": "1"}, ContentType="text/old")
    body = os.urandom(new)
    s3.put_object(Bucket=bucket, Key="a", Body=body)
    got = s3.get_object(Bucket=bucket, Key="a")
    assert (got["Body"].read(), got["Metadata"], got["ContentType"]) == (body, {}, "binary/octet-stream")
    assert keys_of(s3, bucket) == ["a"]


def test_put_object_into_a_missing_bucket_is_refused_and_keeps_nothing(s3: Any, raw: RawClient, server: Server) -> None:
    before = query(server, "SELECT count(*) FROM post3_blob")
    for size in (0, 10, 3 * MIB):
        refused = refusal_of(raw.send("PUT", "/missing-bucket/a", body=b"x" * size))
        assert (refused.status, refused.code) == (404, "NoSuchBucket")
        assert refused.message == "The specified bucket does not exist"
        assert refused.fields == {"BucketName": "missing-bucket"}
    assert query(server, "SELECT count(*) FROM post3_blob") == before


@pytest.mark.parametrize("size", [10, 3 * MIB])
def test_put_object_with_wrong_md5_is_refused(s3: Any, raw: RawClient, bucket: str, size: int) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"old")
    body, wrong = b"x" * size, md5_of(b"other")
    refused = refusal_of(raw.send("PUT", f"/{bucket}/a", headers=[("Content-MD5", wrong)], body=body))
    assert (refused.status, refused.code) == (400, "BadDigest")
    assert refused.message == "The Content-MD5 you specified did not match what we received."
    assert set(refused.fields) == {"ExpectedDigest", "CalculatedDigest"}
    assert refused.fields["CalculatedDigest"] == md5_of(body)
    assert refused.fields["ExpectedDigest"] == base64.b64decode(wrong).hex()  # B031
    assert read(s3, bucket, "a") == b"old"


def test_put_object_with_right_md5_is_stored(raw: RawClient, bucket: str) -> None:
    assert raw.send("PUT", f"/{bucket}/a", headers=[("Content-MD5", md5_of(b"new"))], body=b"new").status == 200


@pytest.mark.parametrize("value", ["", "nonsense", "YQ==", md5_of(b"new")[:-2]])
def test_put_object_with_an_invalid_md5_is_refused(s3: Any, raw: RawClient, bucket: str, value: str) -> None:
    # B030
    refused = refusal_of(raw.send("PUT", f"/{bucket}/a", headers=[("Content-MD5", value)], body=b"new"))
    assert (refused.status, refused.code) == (400, "InvalidDigest")
    assert refused.message == "The Content-MD5 you specified was invalid."
    assert refused.fields == {"Content-MD5": value}
    assert keys_of(s3, bucket) == []


def test_put_object_without_a_checksum_gets_crc64nvme(raw: RawClient, bucket: str) -> None:
    response = raw.send("PUT", f"/{bucket}/a", body=b"123456789")
    assert response.headers["x-amz-checksum-type"] == "FULL_OBJECT"
    # The check value of CRC-64/NVME: https://reveng.sourceforge.io/crc-catalogue/all.htm
    assert response.headers["x-amz-checksum-crc64nvme"] == base64.b64encode(bytes.fromhex("ae8b14860a799888")).decode()  # B058


@pytest.mark.parametrize(
    ("algorithm", "digest"),
    [
        ("CRC32", bytes.fromhex("cbf43926")),
        ("CRC32C", bytes.fromhex("e3069283")),
        ("CRC64NVME", bytes.fromhex("ae8b14860a799888")),
        ("SHA1", hashlib.sha1(b"123456789", usedforsecurity=False).digest()),
        ("SHA256", hashlib.sha256(b"123456789").digest()),
    ],
)
def test_put_object_with_a_checksum_verifies_and_returns_it(
    s3: Any, raw: RawClient, bucket: str, algorithm: str, digest: bytes
) -> None:
    name, value = f"x-amz-checksum-{algorithm.lower()}", base64.b64encode(digest).decode()
    response = raw.send("PUT", f"/{bucket}/a", headers=[(name, value)], body=b"123456789")
    assert (response.status, response.headers[name]) == (200, value)
    assert response.headers["x-amz-checksum-type"] == "FULL_OBJECT"
    assert s3.put_object(Bucket=bucket, Key="b", Body=b"123456789", ChecksumAlgorithm=algorithm)[f"Checksum{algorithm}"] == value
    refused = refusal_of(raw.send("PUT", f"/{bucket}/c", headers=[(name, value)], body=b"123456780"))
    assert (refused.status, refused.code) == (400, "BadDigest")
    assert refused.message == f"The {algorithm} you specified did not match the calculated checksum."
    refused = refusal_of(raw.send("PUT", f"/{bucket}/c", headers=[(name, "YWJj")], body=b"123456789"))
    assert (refused.status, refused.code) == (400, "InvalidRequest")
    assert refused.message == f"Value for {name} header is invalid."
    assert keys_of(s3, bucket) == ["a", "b"]


def test_put_object_with_two_checksums_is_refused(s3: Any, raw: RawClient, bucket: str) -> None:
    crc32 = base64.b64encode(zlib.crc32(b"new").to_bytes(4, "big")).decode()
    sha256 = base64.b64encode(hashlib.sha256(b"new").digest()).decode()
    headers = [("x-amz-checksum-crc32", crc32), ("x-amz-checksum-sha256", sha256)]
    refused = refusal_of(raw.send("PUT", f"/{bucket}/a", headers=headers, body=b"new"))
    assert (refused.status, refused.code) == (400, "InvalidRequest")
    assert refused.message == "Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed."
    assert keys_of(s3, bucket) == []


def test_put_object_without_a_length_is_refused(raw: RawClient, bucket: str) -> None:
    request = raw.sign("PUT", f"/{bucket}/a")
    refused = refusal_of(raw.send_bytes(request.head()))
    assert (refused.status, refused.code) == (411, "MissingContentLength")
    assert refused.message == "You must provide the Content-Length HTTP header."


def test_put_object_in_http_chunks_without_aws_chunked_is_not_implemented(s3: Any, raw: RawClient, bucket: str) -> None:
    request = raw.sign(
        "PUT", f"/{bucket}/a", payload_hash="UNSIGNED-PAYLOAD", unsigned_headers=[("Transfer-Encoding", "chunked")]
    )
    refused = refusal_of(raw.send_bytes(request.head() + b"3\r\nnew\r\n0\r\n\r\n"))
    assert (refused.status, refused.code) == (501, "NotImplemented")  # B033
    assert refused.fields == {"Header": "Transfer-Encoding"}
    assert keys_of(s3, bucket) == []


def test_put_object_over_5_gib_is_refused_before_its_body_is_read(raw: RawClient, bucket: str) -> None:
    headers = [("Content-Length", str(5 * 1024**3 + 1)), ("Expect", "100-continue")]
    request = raw.sign("PUT", f"/{bucket}/a", payload_hash="UNSIGNED-PAYLOAD", unsigned_headers=headers)
    refused = refusal_of(raw.send_bytes(request.head()))
    assert (refused.status, refused.code) == (400, "EntityTooLarge")
    assert refused.message == "Your proposed upload exceeds the maximum allowed size"
    assert refused.fields == {"ProposedSize": "5368709121", "MaxSizeAllowed": "5368709120"}


def test_put_object_waits_for_100_continue(raw: RawClient, s3: Any, bucket: str) -> None:
    import socket

    from ..raw import read_response

    body = b"x" * (2 * MIB)
    request = raw.sign(
        "PUT", f"/{bucket}/a", body=body, unsigned_headers=[("Content-Length", str(len(body))), ("Expect", "100-continue")]
    )
    with socket.create_connection((raw.host, raw.port), timeout=30) as connection:
        connection.sendall(request.head())
        assert connection.recv(12) == b"HTTP/1.1 100"
        connection.recv(100)
        connection.sendall(body)
        assert read_response(connection, "PUT").status == 200
    assert read(s3, bucket, "a") == body


def test_put_object_with_an_unknown_storage_class_is_refused(s3: Any, raw: RawClient, bucket: str) -> None:
    refused = refusal_of(raw.send("PUT", f"/{bucket}/a", headers=[("x-amz-storage-class", "NONSENSE")], body=b"new"))
    assert (refused.status, refused.code) == (400, "InvalidStorageClass")
    assert refused.message == "The storage class you specified is not valid"
    assert refused.fields == {"StorageClassRequested": "NONSENSE"}
    assert keys_of(s3, bucket) == []


def test_put_object_if_none_match_on_an_existing_key_is_refused(s3: Any, bucket: str) -> None:
    assert status_of(s3.put_object(Bucket=bucket, Key="a", Body=b"old", IfNoneMatch="*")) == 200
    for size in (10, 3 * MIB):
        refused = refusal(s3.put_object, Bucket=bucket, Key="a", Body=b"x" * size, IfNoneMatch="*")
        assert (refused.status, refused.code) == (412, "PreconditionFailed")
        assert refused.message == "At least one of the pre-conditions you specified did not hold"
        assert refused.fields == {"Condition": "If-None-Match"}
    assert read(s3, bucket, "a") == b"old"
    s3.delete_object(Bucket=bucket, Key="a")
    assert status_of(s3.put_object(Bucket=bucket, Key="a", Body=b"again", IfNoneMatch="*")) == 200


def test_put_object_if_none_match_of_an_etag_is_not_implemented(s3: Any, bucket: str) -> None:
    refused = refusal(s3.put_object, Bucket=bucket, Key="a", Body=b"a", IfNoneMatch=etag_of(b"a"))
    assert (refused.status, refused.code) == (501, "NotImplemented")
    assert refused.message == "A header you provided implies functionality that is not implemented"
    assert refused.fields == {
        "Header": "If-None-Match",
        "additionalMessage": "We don't accept the provided value of If-None-Match header for this API",
    }
    assert keys_of(s3, bucket) == []


def test_put_object_if_match_replaces_only_the_named_version(s3: Any, bucket: str) -> None:
    refused = refusal(s3.put_object, Bucket=bucket, Key="a", Body=b"a", IfMatch=etag_of(b"a"))
    assert (refused.status, refused.code, refused.fields) == (404, "NoSuchKey", {"Key": "a"})
    s3.put_object(Bucket=bucket, Key="a", Body=b"old")
    refused = refusal(s3.put_object, Bucket=bucket, Key="a", Body=b"new", IfMatch=etag_of(b"other"))
    assert (refused.status, refused.code, refused.fields) == (412, "PreconditionFailed", {"Condition": "If-Match"})
    assert read(s3, bucket, "a") == b"old"
    assert status_of(s3.put_object(Bucket=bucket, Key="a", Body=b"new", IfMatch=etag_of(b"old"))) == 200
    assert status_of(s3.put_object(Bucket=bucket, Key="a", Body=b"newer", IfMatch=etag_of(b"new").strip('"'))) == 200
    assert read(s3, bucket, "a") == b"newer"


def test_put_object_if_match_any_and_both_conditions_are_not_implemented(s3: Any, bucket: str) -> None:
    refused = refusal(s3.put_object, Bucket=bucket, Key="a", Body=b"a", IfMatch="*")
    assert (refused.status, refused.code, refused.fields["Header"]) == (501, "NotImplemented", "If-Match")
    refused = refusal(s3.put_object, Bucket=bucket, Key="a", Body=b"a", IfMatch=etag_of(b"a"), IfNoneMatch="*")
    assert (refused.status, refused.code) == (501, "NotImplemented")
    assert refused.fields == {
        "Header": "If-Match,If-None-Match",
        "additionalMessage": "Multiple conditional request headers present in the request",
    }
    assert keys_of(s3, bucket) == []


def test_put_object_of_an_error_document_is_plain_bytes(s3: Any, raw: RawClient, bucket: str) -> None:
    body = b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>'
    assert raw.send("PUT", path_of(bucket, "a.xml"), headers=[("Content-Type", "application/xml")], body=body).status == 200
    got = s3.get_object(Bucket=bucket, Key="a.xml")
    assert (got["Body"].read(), got["ContentType"]) == (body, "application/xml")


@pytest.mark.parametrize("body", [b"", b"a", b"a" * 2_000_000], ids=["empty", "small", "large"])
def test_put_object_into_a_bucket_with_an_impossible_name(raw: RawClient, body: bytes) -> None:
    """No storage could create files under this name."""
    answer = raw.send("PUT", "/%25ff/a", body=body)
    assert answer is not None and answer.status == 404 and b"<Code>NoSuchBucket</Code>" in answer.body
