"""aws-chunked bodies, signed and unsigned, with and without a trailer, are stored without framing or refused."""

import base64
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from ..helpers import keys_of, random_bytes, read, refusal_of
from ..raw import RawClient, RawResponse

MIB = 1 << 20
SIGNED, SIGNED_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
MISMATCH = "The request signature we calculated does not match the signature you provided. Check your key and signing method."


def crc32_of(body: bytes) -> str:
    return base64.b64encode(zlib.crc32(body).to_bytes(4, "big")).decode()


def chunks_of(body: bytes) -> list[bytes]:
    return [body[start : start + 65536] for start in range(0, len(body), 65536)]


def put_chunked(
    raw: RawClient,
    path: str,
    body: bytes,
    kind: str,
    *,
    checksum: str | None = None,
    decoded_length: int | str | None = None,
    change: Callable[[bytes], bytes] = bytes,
    over_http_chunks: bool = False,
) -> RawResponse:
    """PUT a body as aws-chunked, applying `change` to the framed bytes. `checksum` is the CRC32 in the trailer."""
    trailer = f"x-amz-checksum-crc32:{checksum or crc32_of(body)}\n".encode() if kind != SIGNED else None
    length = len(body) if decoded_length is None else decoded_length
    headers = [("Content-Encoding", "aws-chunked"), ("x-amz-decoded-content-length", str(length))]
    if trailer:
        headers.append(("x-amz-trailer", "x-amz-checksum-crc32"))
    request = raw.sign("PUT", path, headers=headers, payload_hash=kind)
    if kind == UNSIGNED_TRAILER:
        framed = b"".join(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n" for chunk in chunks_of(body))
        framed += b"0\r\n" + trailer.replace(b"\n", b"\r\n") + b"\r\n"
    else:
        framed = request.chunked_body(chunks_of(body), trailer)
    framed = change(framed)
    if over_http_chunks:
        request.headers.append(("Transfer-Encoding", "chunked"))
        framed = b"".join(f"{len(chunk):x}\r\n".encode() + chunk + b"\r\n" for chunk in chunks_of(framed)) + b"0\r\n\r\n"
    else:
        request.headers.append(("Content-Length", str(len(framed))))
    response = raw.send_bytes(request.head() + framed, "PUT")
    assert response is not None
    return response


KINDS = pytest.mark.parametrize("kind", [SIGNED, SIGNED_TRAILER, UNSIGNED_TRAILER])


@KINDS
@pytest.mark.parametrize("over_http_chunks", [False, True], ids=["length", "http-chunks"])
@pytest.mark.parametrize("size", [0, 1, 1024, 200_000, 2 * MIB + 1])
def test_aws_chunked_stores_the_body_without_framing(
    s3: Any, raw: RawClient, bucket: str, kind: str, over_http_chunks: bool, size: int
) -> None:
    body = random_bytes(size)
    response = put_chunked(raw, f"/{bucket}/a", body, kind, over_http_chunks=over_http_chunks)
    assert (response.status, response.body) == (200, b"")
    if kind != SIGNED:
        assert response.headers["x-amz-checksum-crc32"] == crc32_of(body)
    got = s3.get_object(Bucket=bucket, Key="a")
    assert got["Body"].read() == body
    assert "ContentEncoding" not in got  # B103


@pytest.mark.parametrize("size", [1024, 2 * MIB])
@pytest.mark.parametrize("kind", [SIGNED, SIGNED_TRAILER])
def test_aws_chunked_with_a_changed_byte_is_refused(s3: Any, raw: RawClient, bucket: str, kind: str, size: int) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"old")
    body = b"x" * size
    for place in (b"\r\nx", b"x\r\n"):
        response = put_chunked(
            raw,
            f"/{bucket}/a",
            body,
            kind,
            change=lambda framed, place=place: framed.replace(place, place.replace(b"x", b"y"), 1),
        )
        refused = refusal_of(response)
        assert (refused.status, refused.code, refused.message) == (403, "SignatureDoesNotMatch", MISMATCH)
        assert read(s3, bucket, "a") == b"old"


@pytest.mark.parametrize("which", [0, -1])
@pytest.mark.parametrize("kind", [SIGNED, SIGNED_TRAILER])
def test_aws_chunked_with_a_wrong_chunk_signature_is_refused(s3: Any, raw: RawClient, bucket: str, kind: str, which: int) -> None:
    def change(framed: bytes) -> bytes:
        pieces = framed.split(b"chunk-signature=")
        index = which if which < 0 else which + 1
        pieces[index] = (b"0" if pieces[index][:1] != b"0" else b"1") + pieces[index][1:]
        return b"chunk-signature=".join(pieces)

    refused = refusal_of(put_chunked(raw, f"/{bucket}/a", b"x" * 200_000, kind, change=change))
    assert (refused.status, refused.code) == (403, "SignatureDoesNotMatch")
    assert keys_of(s3, bucket) == []


@pytest.mark.parametrize("size", [1024, 2 * MIB])
@pytest.mark.parametrize("kind", [SIGNED_TRAILER, UNSIGNED_TRAILER])
def test_aws_chunked_with_a_wrong_trailing_checksum_is_refused(
    s3: Any, raw: RawClient, bucket: str, kind: str, size: int
) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"old")
    refused = refusal_of(put_chunked(raw, f"/{bucket}/a", b"x" * size, kind, checksum=crc32_of(b"other")))
    assert (refused.status, refused.code) == (400, "BadDigest")
    assert refused.message == "The CRC32 you specified did not match the calculated checksum."
    refused = refusal_of(put_chunked(raw, f"/{bucket}/a", b"x" * size, kind, checksum="nonsense"))
    assert (refused.status, refused.code) == (400, "InvalidRequest")
    assert refused.message == "Value for x-amz-checksum-crc32 trailing header is invalid."
    assert read(s3, bucket, "a") == b"old"


def test_aws_chunked_with_a_changed_signed_trailer_is_refused(s3: Any, raw: RawClient, bucket: str) -> None:
    body = b"x" * 1024
    other = crc32_of(b"other").encode()
    response = put_chunked(
        raw, f"/{bucket}/a", body, SIGNED_TRAILER, change=lambda framed: framed.replace(crc32_of(body).encode(), other)
    )
    refused = refusal_of(response)
    assert (refused.status, refused.code) == (403, "SignatureDoesNotMatch")
    assert keys_of(s3, bucket) == []


@pytest.mark.parametrize("trailer", [b"", b"x-amz-checksum-sha1:AAAA\r\n", b"nonsense\r\n"])
def test_aws_chunked_with_another_trailer_than_announced_is_refused(s3: Any, raw: RawClient, bucket: str, trailer: bytes) -> None:
    def change(framed: bytes) -> bytes:
        return framed.partition(b"0\r\nx-amz-checksum")[0] + b"0\r\n" + trailer + b"\r\n"

    refused = refusal_of(put_chunked(raw, f"/{bucket}/a", b"y" * 1000, UNSIGNED_TRAILER, change=change))
    assert (refused.status, refused.code) == (400, "MalformedTrailerError")  # B107
    assert (
        refused.message
        == "The request contained trailing data that was not well-formed or did not conform to our published schema."
    )
    assert keys_of(s3, bucket) == []


@KINDS
@pytest.mark.parametrize(
    ("length", "decoded_length"), [(1000, 999), (1000, 1001), (2 * MIB, 2 * MIB - 1), (2 * MIB, 2 * MIB + 1)]
)
def test_aws_chunked_with_another_decoded_length_is_refused(
    s3: Any, raw: RawClient, bucket: str, kind: str, length: int, decoded_length: int
) -> None:
    refused = refusal_of(put_chunked(raw, f"/{bucket}/a", b"x" * length, kind, decoded_length=decoded_length))
    assert (refused.status, refused.code) == (400, "IncompleteBody")
    assert refused.message == "You did not provide the number of bytes specified by the Content-Length HTTP header"  # B105
    assert refused.fields == {"NumberBytesExpected": str(decoded_length), "NumberBytesProvided": str(length)}
    assert keys_of(s3, bucket) == []


@KINDS
@pytest.mark.parametrize("decoded_length", ["", "x", "-1", "1.5", "+1", "0x10", "1_000", "9" * 30])
def test_aws_chunked_with_an_unreadable_decoded_length_is_refused(
    s3: Any, raw: RawClient, bucket: str, kind: str, decoded_length: str
) -> None:
    refused = refusal_of(put_chunked(raw, f"/{bucket}/a", b"x", kind, decoded_length=decoded_length))
    assert (refused.status, refused.code) == (411, "MissingContentLength")  # B105
    assert refused.message == "You must provide the Content-Length HTTP header."
    assert keys_of(s3, bucket) == []


def test_put_object_that_is_not_framed_ignores_the_decoded_length(s3: Any, raw: RawClient, bucket: str) -> None:
    for decoded_length in ("x", "-1", "5", ""):
        headers = [("x-amz-decoded-content-length", decoded_length)]
        assert raw.send("PUT", f"/{bucket}/a", headers=headers, body=b"body").status == 200  # B105
    assert read(s3, bucket, "a") == b"body"


@KINDS
@pytest.mark.parametrize(
    "change",
    [
        lambda framed: framed.replace(b"\r\n", b"\n", 1),
        lambda framed: b"x" + framed,
        lambda framed: framed.replace(b"xxxx\r\n", b"xxxx", 1),
        lambda framed: framed[: framed.index(b"\r\n") + 3],
        lambda framed: b"",
    ],
    ids=["a bare LF", "no size", "no end of a chunk", "half a chunk", "nothing"],
)
def test_aws_chunked_with_bad_framing_is_refused(
    s3: Any, raw: RawClient, bucket: str, kind: str, change: Callable[[bytes], bytes]
) -> None:
    refused = refusal_of(put_chunked(raw, f"/{bucket}/a", b"x" * 1000, kind, change=change))
    assert (refused.status, refused.code) == (400, "IncompleteBody")
    assert refused.message == "The request body terminated unexpectedly"  # B104
    assert keys_of(s3, bucket) == []


@KINDS
@pytest.mark.parametrize("keep", [0.3, 0.99])
@pytest.mark.parametrize("size", [1024, 2 * MIB])
def test_aws_chunked_without_its_end_is_refused(s3: Any, raw: RawClient, bucket: str, kind: str, keep: float, size: int) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"old")
    for over_http_chunks in (False, True):
        response = put_chunked(
            raw,
            f"/{bucket}/a",
            b"x" * size,
            kind,
            change=lambda framed: framed[: int(len(framed) * keep)],
            over_http_chunks=over_http_chunks,
        )
        refused = refusal_of(response)
        assert refused.status == 400
        assert refused.code in ("IncompleteBody", "MalformedTrailerError")
        assert read(s3, bucket, "a") == b"old"
