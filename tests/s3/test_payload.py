"""Payloads: stacked readers. Nothing unverified ever ends successfully."""

import base64
import hashlib
import io
import zlib
from typing import Any

import pytest

from post3.checksums import new_hasher
from post3.errors import (
    BadDigest,
    EntityTooLarge,
    IncompleteBody,
    InvalidArgument,
    InvalidDigest,
    InvalidRequest,
    MaxMessageLengthExceeded,
    MissingContentLength,
    S3Error,
    S3NotImplemented,
    SignatureDoesNotMatch,
    XAmzContentSHA256Mismatch,
)
from post3.s3.payload import open_document, open_payload
from post3.s3.request import S3Request

from .signing import SlowBody, example_context, frame, make_request

DATA = b"The quick brown fox jumps over the lazy dog"
CONTEXT = example_context("3" * 64)
CRC32 = base64.b64encode(zlib.crc32(DATA).to_bytes(4, "big")).decode()
MD5 = base64.b64encode(hashlib.md5(DATA).digest()).decode()
SHA256 = hashlib.sha256(DATA).hexdigest()
WRONG_CRC32 = "AAAAAA=="


def put(headers: dict[str, Any] | None = None, body: Any = DATA, length: int | None = len(DATA), query: str = "") -> S3Request:
    announced = {} if length is None else {"content-length": str(length)}
    return make_request("PUT", "/b/k", query, {"x-amz-content-sha256": "UNSIGNED-PAYLOAD", **announced, **(headers or {})}, body)


def put_chunked(kind: str, wire: bytes, length: int = len(DATA), **headers: str) -> S3Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return put({"x-amz-content-sha256": kind, "x-amz-decoded-content-length": str(length), **named}, wire, len(wire))


def refuse(error: type[S3Error], request: S3Request, text: str = "", size: int = 10) -> S3Error:
    """Open a payload and read it in pieces. The refusal must come before the last byte."""
    given = b""
    with pytest.raises(error) as raised:
        payload = open_payload(request, CONTEXT)
        while data := payload.read(size):
            given += data
            assert len(given) < payload.length, "the whole payload was returned before it was verified"
    assert type(raised.value) is error and text in raised.value.text
    return raised.value


@pytest.mark.parametrize("size", [1, 7, 43, 44, 1 << 20, -1])
@pytest.mark.parametrize("piece", [1, 5, 1000])
def test_plain_payload_is_read_and_hashed(size: int, piece: int) -> None:
    payload = open_payload(put(body=SlowBody(DATA, piece)), CONTEXT)
    assert payload.length == len(DATA) and not payload.client_checksum
    assert b"".join(iter(lambda: payload.read(size), b"")) == DATA
    assert payload.read(size) == b""
    hasher = new_hasher("CRC64NVME")
    hasher.update(DATA)
    assert (payload.md5, payload.checksum_algorithm) == (hashlib.md5(DATA).hexdigest(), "CRC64NVME")
    assert payload.checksum == hasher.base64()


def test_payload_read_to_its_announced_length_only_is_verified() -> None:
    payload = open_payload(put(), CONTEXT)
    assert payload.read(len(DATA)) == DATA
    assert payload.md5 and payload.checksum


def test_empty_payload_is_verified() -> None:
    payload = open_payload(put(body=b"", length=0), CONTEXT)
    assert payload.read(0) == b""
    assert payload.md5 == "d41d8cd98f00b204e9800998ecf8427e" and payload.checksum == "AAAAAAAAAAA="
    for headers in ({"content-md5": MD5}, {"x-amz-content-sha256": SHA256}, {"x-amz-checksum-crc32": CRC32}):
        with pytest.raises(S3Error):
            open_payload(put(headers, b"", 0), CONTEXT).read(10)


def test_payload_without_default_algorithm_has_no_checksum() -> None:
    payload = open_payload(put(), CONTEXT, "")
    assert payload.read() == DATA
    assert (payload.checksum_algorithm, payload.checksum) == ("", "")


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME", "SHA1", "SHA256"])
@pytest.mark.parametrize("content_sha256", [SHA256, SHA256.upper(), "UNSIGNED-PAYLOAD"])
def test_checksum_of_client_is_verified(algorithm: str, content_sha256: str) -> None:
    hasher = new_hasher(algorithm)
    hasher.update(DATA)
    name, good = f"x-amz-checksum-{algorithm.lower()}", hasher.base64()
    headers = {"x-amz-content-sha256": content_sha256, "content-md5": MD5}
    payload = open_payload(put({name: good, **headers}), CONTEXT)
    assert payload.read() == DATA
    assert (payload.checksum_algorithm, payload.checksum, payload.client_checksum) == (algorithm, good, True)
    bad = base64.b64encode(bytes(len(base64.b64decode(good)))).decode()
    refuse(BadDigest, put({name: bad, **headers}), f"The {algorithm} you specified did not match the calculated checksum.")


def test_wrong_content_md5_is_refused() -> None:
    error = refuse(BadDigest, put({"content-md5": "1B2M2Y8AsgTpgAmY7PhCfg=="}), "The Content-MD5 you specified did not match")
    assert error.fields == {"ExpectedDigest": "d41d8cd98f00b204e9800998ecf8427e", "CalculatedDigest": MD5}  # B031


@pytest.mark.parametrize("value", ["", "x", MD5[:-4], MD5 + "AAAA", hashlib.md5(DATA).hexdigest()])
def test_malformed_content_md5_is_refused_at_open(value: str) -> None:
    with pytest.raises(InvalidDigest):
        open_payload(put({"content-md5": value}), CONTEXT)


def test_wrong_content_sha256_is_refused_before_everything_else() -> None:
    headers = {"x-amz-content-sha256": "0" * 64, "content-md5": "1B2M2Y8AsgTpgAmY7PhCfg==", "x-amz-checksum-crc32": WRONG_CRC32}
    error = refuse(XAmzContentSHA256Mismatch, put(headers))
    assert error.fields == {"ClientComputedContentSHA256": "0" * 64, "S3ComputedContentSHA256": SHA256}


@pytest.mark.parametrize("value", ["x", "0" * 63, "0" * 65, "g" * 64, "STREAMING-UNSIGNED-PAYLOAD", "unsigned-payload"])
def test_invalid_content_sha256_is_refused(value: str) -> None:
    with pytest.raises(InvalidArgument, match="x-amz-content-sha256 must be UNSIGNED-PAYLOAD"):
        open_payload(put({"x-amz-content-sha256": value}), CONTEXT)


def test_signature_version_4a_payload_is_not_implemented() -> None:
    with pytest.raises(S3NotImplemented):
        open_payload(put({"x-amz-content-sha256": "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD"}), CONTEXT)


@pytest.mark.parametrize("length", [len(DATA) + 1, len(DATA) - 1, 0, 10_000])
def test_body_of_another_length_is_refused(length: int) -> None:
    refuse(IncompleteBody, put(length=length), size=1000)
    refuse(IncompleteBody, put(length=length), size=1)


def test_missing_content_length_is_refused() -> None:
    with pytest.raises(MissingContentLength):
        open_payload(put(length=None), CONTEXT)
    with pytest.raises(MissingContentLength):
        open_payload(put({"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER"}, frame([DATA])), CONTEXT)


@pytest.mark.parametrize("value", ["-1", "1.5", "x", "+1", "0x10", "1_000", "٣", "9" * 5000])
def test_invalid_content_length_is_refused(value: str) -> None:
    with pytest.raises(InvalidArgument):
        open_payload(put({"content-length": value}), CONTEXT)
    headers = {"x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "x-amz-decoded-content-length": value}
    with pytest.raises(MissingContentLength):  # B105
        open_payload(put(headers), CONTEXT)


def test_body_over_the_maximum_is_refused_at_open() -> None:
    with pytest.raises(EntityTooLarge) as raised:
        open_payload(put(length=5 * 1024**3 + 1), CONTEXT)
    assert raised.value.fields == {"ProposedSize": "5368709121", "MaxSizeAllowed": "5368709120"}
    assert open_payload(put(length=5 * 1024**3), CONTEXT).length == 5 * 1024**3


def test_unsigned_chunks_with_trailing_checksum_are_verified() -> None:
    kind, name = "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "x-amz-checksum-crc32"
    wire = frame([DATA[:10], DATA[10:]], trailers={name: CRC32})
    payload = open_payload(put_chunked(kind, wire, x_amz_trailer=name, x_amz_sdk_checksum_algorithm="CRC32"), CONTEXT)
    assert payload.length == len(DATA) and payload.read() == DATA
    assert (payload.checksum_algorithm, payload.checksum, payload.client_checksum) == ("CRC32", CRC32, True)
    assert payload.md5 == hashlib.md5(DATA).hexdigest()
    for wire in (frame([DATA], trailers={name: WRONG_CRC32}), frame([DATA.upper()], trailers={name: CRC32})):
        refuse(BadDigest, put_chunked(kind, wire, x_amz_trailer=name), "The CRC32 you specified")
    wire = frame([DATA], trailers={name: "junk"})
    refuse(
        InvalidRequest, put_chunked(kind, wire, x_amz_trailer=name), "Value for x-amz-checksum-crc32 trailing header is invalid."
    )


@pytest.mark.parametrize("trailers", [{}, {"x-amz-checksum-crc32": CRC32}])
def test_signed_chunks_are_verified(trailers: dict[str, str]) -> None:
    kind = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD" + ("-TRAILER" if trailers else "")
    headers = {"x_amz_trailer": next(iter(trailers))} if trailers else {}
    wire = frame([DATA[:10], DATA[10:]], context=CONTEXT, trailers=trailers)
    assert open_payload(put_chunked(kind, wire, **headers), CONTEXT).read() == DATA
    refuse(SignatureDoesNotMatch, put_chunked(kind, wire.replace(b"lazy", b"mazy"), **headers))
    with pytest.raises(SignatureDoesNotMatch):
        open_payload(put_chunked(kind, wire, **headers), example_context("4" * 64)).read()
    with pytest.raises(InvalidRequest):
        open_payload(put_chunked(kind, wire, **headers), None)


def test_chunked_body_cut_at_any_byte_is_refused() -> None:
    name = "x-amz-checksum-crc32"
    wire = frame([DATA], context=CONTEXT, trailers={name: CRC32})
    for at in range(len(wire)):
        request = put_chunked("STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", wire[:at], x_amz_trailer=name)
        with pytest.raises((IncompleteBody, InvalidRequest)):
            open_payload(request, CONTEXT).read()


def test_trailer_announced_for_a_body_without_trailers_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        open_payload(put({"x-amz-trailer": "x-amz-checksum-crc32"}), CONTEXT)
    wire = frame([DATA], context=CONTEXT)
    with pytest.raises(InvalidRequest):
        open_payload(put_chunked("STREAMING-AWS4-HMAC-SHA256-PAYLOAD", wire, x_amz_trailer="x-amz-checksum-crc32"), CONTEXT)


def test_aws_chunked_upload_of_anonymous_boto3_is_decoded() -> None:
    name = "x-amz-checksum-crc32"
    headers = {"content-encoding": "gzip, aws-chunked", "x-amz-decoded-content-length": str(len(DATA)), "x-amz-trailer": name}
    request = make_request("PUT", "/b/k", "", headers, frame([DATA], trailers={name: CRC32}))
    assert open_payload(request, None).read() == DATA


def test_presigned_payload_is_unsigned_unless_the_query_says_otherwise() -> None:
    headers = {"content-length": str(len(DATA))}
    assert open_payload(make_request("PUT", "/b/k", "X-Amz-Signature=x", headers, DATA), CONTEXT).read() == DATA
    request = make_request("PUT", "/b/k", f"X-Amz-Signature=x&X-Amz-Content-Sha256={'0' * 64}", headers, DATA)
    refuse(XAmzContentSHA256Mismatch, request)


def test_document_is_read_and_verified() -> None:
    assert open_document(put({"content-md5": MD5}), CONTEXT, 1000).read() == DATA
    assert open_document(put(length=None), CONTEXT, 1000).read() == DATA
    assert open_document(put(body=b"", length=None), CONTEXT, 1000).read() == b""
    assert open_document(put(body=b"", length=0), CONTEXT, 1000).read() == b""
    for length in (len(DATA), None):
        with pytest.raises(BadDigest):
            open_document(put({"x-amz-checksum-crc32": WRONG_CRC32}, length=length), CONTEXT, 1000).read()
        with pytest.raises(XAmzContentSHA256Mismatch):
            open_document(put({"x-amz-content-sha256": "0" * 64}, length=length), CONTEXT, 1000).read()
        assert open_document(put(length=length), CONTEXT, len(DATA)).read() == DATA
        with pytest.raises(MaxMessageLengthExceeded):
            open_document(put(length=length), CONTEXT, len(DATA) - 1).read()
    wire = frame([DATA])
    assert open_document(put_chunked("STREAMING-UNSIGNED-PAYLOAD-TRAILER", wire), CONTEXT, 1000).read() == DATA


def test_document_whose_checksum_header_is_of_the_object_is_read() -> None:
    request = put({"x-amz-checksum-crc32": WRONG_CRC32})
    assert open_document(request, CONTEXT, 1000, verify_checksum=False).read() == DATA


@pytest.mark.parametrize("size", [0, 1, 43, 3 << 20])
def test_body_framed_by_botocore_is_decoded(size: int) -> None:
    from botocore.httpchecksum import AwsChunkedWrapper, Crc32Checksum

    data, name = (DATA * (size // len(DATA) + 1))[:size], "x-amz-checksum-crc32"
    wire = AwsChunkedWrapper(io.BytesIO(data), checksum_cls=Crc32Checksum, checksum_name=name).read()
    payload = open_payload(put_chunked("STREAMING-UNSIGNED-PAYLOAD-TRAILER", wire, size, x_amz_trailer=name), CONTEXT)
    assert payload.read() == data
    assert payload.checksum == base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()


def test_document_without_length_is_read_only_up_to_the_limit() -> None:
    body = io.BytesIO(bytes(1 << 20))
    with pytest.raises(MaxMessageLengthExceeded):
        open_document(put(body=body, length=None), CONTEXT, 1000).read()
    assert body.tell() < 1 << 20
