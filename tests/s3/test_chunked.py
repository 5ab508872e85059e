"""aws-chunked bodies: AWS's published example, framing truncated and altered everywhere, signatures and trailers."""

import io

import pytest

from post3.errors import IncompleteBody, MalformedTrailerError, S3Error, SignatureDoesNotMatch
from post3.s3.chunked import MAX_LINE, MAX_TRAILERS, ChunkedBody
from post3.s3.sigv4 import SigningContext, parse_signature, verify_signature

from ..helpers import random_bytes
from .signing import NOW, SECRET, SlowBody, authorization, example_context, frame, make_request

CRC32C = "x-amz-checksum-crc32c"
PIECES = [b"hello ", b"wide", b" world\r\n"]
DATA = b"".join(PIECES)
CONTEXT = example_context("1" * 64)
TRAILERS = {CRC32C: "sOO8/Q=="}


def decode(
    wire: bytes, length: int, context: SigningContext | None = None, trailers: tuple[str, ...] = (), piece: int = 1 << 20
) -> bytes:
    body = ChunkedBody(SlowBody(wire, piece), length, context=context, announced_trailers=trailers)
    data = b""
    while more := body.read(7):
        data += more
    assert body.read(7) == b""
    return data


def example(seed: str, names: str, hash_token: str, extra: dict[str, str]) -> SigningContext:
    headers = {
        "host": "s3.amazonaws.com",
        "x-amz-date": "20130524T000000Z",
        "x-amz-storage-class": "REDUCED_REDUNDANCY",
        "x-amz-content-sha256": hash_token,
        "content-encoding": "aws-chunked",
        "x-amz-decoded-content-length": "66560",
        "authorization": authorization(names, seed),
        **extra,
    }
    request = make_request("PUT", "/examplebucket/chunkObject.txt", "", headers)
    return verify_signature(request, parse_signature(request), SECRET, NOW)


def test_chunked_upload_example_of_aws_is_decoded() -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html"""
    names = (
        "content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class"
    )
    seed = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9"
    context = example(seed, names, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", {"content-length": "66824"})
    wire = (
        b"10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n" + b"a" * 65536 + b"\r\n"
        b"400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n" + b"a" * 1024 + b"\r\n"
        b"0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n"
    )
    assert len(wire) == 66824
    assert ChunkedBody(io.BytesIO(wire), 66560, context=context).read() == b"a" * 66560
    with pytest.raises(SignatureDoesNotMatch):
        ChunkedBody(io.BytesIO(wire.replace(b"aa\r\n0;", b"ab\r\n0;")), 66560, context=context).read()


def test_chunked_upload_with_trailer_example_of_aws_is_decoded() -> None:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html"""
    names = "content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer"
    seed = "106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e"
    context = example(seed, names, "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER", {"x-amz-trailer": CRC32C})
    wire = (
        b"10000;chunk-signature=b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2\r\n" + b"a" * 65536 + b"\r\n"
        b"400;chunk-signature=1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7\r\n" + b"a" * 1024 + b"\r\n"
        b"0;chunk-signature=2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992\r\n"
        b"x-amz-checksum-crc32c:sOO8/Q==\r\n"
        b"x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n"
    )
    body = ChunkedBody(io.BytesIO(wire), 66560, context=context, announced_trailers=[CRC32C])
    assert body.read() == b"a" * 66560
    assert body.trailers == {CRC32C: "sOO8/Q=="}
    with pytest.raises(SignatureDoesNotMatch):
        wrong = wire.replace(b"sOO8/Q", b"sOO8/A")
        ChunkedBody(io.BytesIO(wrong), 66560, context=context, announced_trailers=[CRC32C]).read()


KINDS: dict[str, tuple[bytes, SigningContext | None, tuple[str, ...]]] = {
    "unsigned": (frame(PIECES), None, ()),
    "unsigned with trailer": (frame(PIECES, trailers=TRAILERS), None, (CRC32C,)),
    "signed": (frame(PIECES, context=CONTEXT), CONTEXT, ()),
    "signed with trailer": (frame(PIECES, context=CONTEXT, trailers=TRAILERS), CONTEXT, (CRC32C,)),
}


@pytest.mark.parametrize("piece", [1, 2, 3, 5, 1000])
@pytest.mark.parametrize("kind", KINDS)
def test_body_is_decoded_however_it_arrives(kind: str, piece: int) -> None:
    wire, context, trailers = KINDS[kind]
    assert decode(wire, len(DATA), context, trailers, piece) == DATA


@pytest.mark.parametrize("kind", KINDS)
def test_body_cut_at_any_byte_is_refused(kind: str) -> None:
    wire, context, trailers = KINDS[kind]
    for at in range(len(wire)):
        for piece in (1, 1000):
            with pytest.raises((IncompleteBody, MalformedTrailerError)):
                decode(wire[:at], len(DATA), context, trailers, piece)


@pytest.mark.parametrize("kind", ["signed", "signed with trailer"])
def test_signed_body_with_any_byte_flipped_is_refused(kind: str) -> None:
    wire, context, trailers = KINDS[kind]
    for at in range(len(wire)):
        for flip in (0x01, 0x80):
            changed = wire[:at] + bytes([wire[at] ^ flip]) + wire[at + 1 :]
            with pytest.raises(S3Error):
                decode(changed, len(DATA), context, trailers)


def test_unsigned_framing_with_any_byte_flipped_is_refused_or_only_data_differs() -> None:
    wire = KINDS["unsigned"][0]
    refused = 0
    for at in range(len(wire)):
        changed = wire[:at] + bytes([wire[at] ^ 0x04]) + wire[at + 1 :]
        try:
            assert len(decode(changed, len(DATA))) == len(DATA)
        except S3Error:
            refused += 1
    assert refused == len(wire) - len(DATA)  # every byte of the framing


@pytest.mark.parametrize("kind", KINDS)
def test_bytes_after_the_end_are_refused(kind: str) -> None:
    wire, context, trailers = KINDS[kind]
    for more in (b"\r", b"x", b"\r\nx", b"0\r\n\r\n", bytes(MAX_TRAILERS)):
        with pytest.raises((IncompleteBody, MalformedTrailerError)):
            decode(wire + more, len(DATA), context, trailers)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("difference", [-1, 1, 1000])
def test_decoded_length_other_than_announced_is_refused(kind: str, difference: int) -> None:
    wire, context, trailers = KINDS[kind]
    with pytest.raises(IncompleteBody):
        decode(wire, len(DATA) + difference, context, trailers)


@pytest.mark.parametrize("context", [None, CONTEXT])
def test_empty_body_is_decoded(context: SigningContext | None) -> None:
    assert decode(frame([], context=context), 0, context) == b""
    assert decode(frame([], context=context, trailers=TRAILERS), 0, context, (CRC32C,)) == b""


@pytest.mark.parametrize(
    "wire",
    [
        b"",
        b"hello",
        b"\r\n",
        b"-1\r\n",
        b"0x3\r\nabc\r\n0\r\n\r\n",
        b" 3\r\nabc\r\n0\r\n\r\n",
        b"3 \r\nabc\r\n0\r\n\r\n",
        b"3\nabc\n0\n\n",
        b"3\r\nabc0\r\n\r\n",
        b"3\r\nabcd\r\n0\r\n\r\n",
        b"3;a=b\r\nabc\r\n0\r\n\r\n",
        b"3;chunk-signature=" + b"0" * 64 + b"\r\nabc\r\n0\r\n\r\n",
        b"ffffffffffffffffff\r\nabc\r\n0\r\n\r\n",
        b"7fffffffffffffff\r\nabc\r\n0\r\n\r\n",
        b"3\r\nabc\r\n0\r\n\r\n0\r\n\r\n",
        b"3\r\nabc\r\n0\r\n",
        b"0" * (MAX_LINE + 1) + b"3\r\nabc\r\n0\r\n\r\n",
        b"0" * (10 * MAX_LINE),
    ],
)
def test_malformed_framing_is_refused(wire: bytes) -> None:
    for piece in (1 << 20, 4096):
        with pytest.raises((IncompleteBody, MalformedTrailerError)):
            decode(wire, 3, piece=piece)


def test_endless_line_is_refused_before_it_is_read() -> None:
    class Endless:
        given = 0

        def read(self, size: int = -1, /) -> bytes:
            self.given += size
            return b"1" * size

    body = Endless()
    with pytest.raises(IncompleteBody):
        ChunkedBody(body, 3).read(1)
    assert body.given < 1 << 20


def test_unsigned_chunks_are_refused_if_signed_ones_are_required() -> None:
    with pytest.raises(IncompleteBody):
        decode(frame(PIECES), len(DATA), CONTEXT)


def test_signed_chunks_of_another_request_are_refused() -> None:
    with pytest.raises(SignatureDoesNotMatch):
        decode(KINDS["signed"][0], len(DATA), example_context("2" * 64))


def test_signed_chunks_swapped_are_refused() -> None:
    lines = frame([b"aa", b"bb"], context=CONTEXT).split(b"\r\n")  # header, data, header, data, header, "", ""
    assert decode(b"\r\n".join(lines), 4, CONTEXT) == b"aabb"
    with pytest.raises(SignatureDoesNotMatch):
        decode(b"\r\n".join([*lines[2:4], *lines[:2], *lines[4:]]), 4, CONTEXT)


@pytest.mark.parametrize("announced", [(), ("x-amz-checksum-crc32",), (CRC32C, "x-amz-checksum-crc32")])
@pytest.mark.parametrize("context", [None, CONTEXT])
def test_trailers_other_than_announced_are_refused(announced: tuple[str, ...], context: SigningContext | None) -> None:
    with pytest.raises(MalformedTrailerError):
        decode(frame(PIECES, context=context, trailers=TRAILERS), len(DATA), context, announced)


def test_announced_trailer_that_is_missing_is_refused() -> None:
    with pytest.raises(MalformedTrailerError):
        decode(frame(PIECES), len(DATA), None, (CRC32C,))


def test_signed_trailer_without_its_signature_is_refused() -> None:
    wire = KINDS["signed with trailer"][0]
    at = wire.index(b"x-amz-trailer-signature")
    with pytest.raises(MalformedTrailerError):
        decode(wire[:at] + b"\r\n", len(DATA), CONTEXT, (CRC32C,))


@pytest.mark.parametrize(
    "block",
    [
        b"nonsense\r\n\r\n",
        b"x-amz-checksum-crc32c:a\r\nx-amz-checksum-crc32c:b\r\n\r\n",
        b":x\r\n\r\n",
        b"a" * (MAX_TRAILERS + 1) + b":b\r\n\r\n",
    ],
)
def test_malformed_trailers_are_refused(block: bytes) -> None:
    with pytest.raises(MalformedTrailerError):
        decode(b"3\r\nabc\r\n0\r\n" + block, 3, None, (CRC32C,))


def test_trailer_names_are_case_insensitive_and_values_trimmed() -> None:
    body = ChunkedBody(io.BytesIO(b"0\r\nX-Amz-Checksum-CRC32C: abc \r\n\r\n"), 0, announced_trailers=[CRC32C])
    assert body.read() == b""
    assert body.trailers == {CRC32C: "abc"}


def test_trailer_as_minio_go_sends_it_is_accepted() -> None:
    """A bare LF after the trailer, then empty lines, signed and unsigned."""
    wire = b"3\r\nabc\r\n0\r\nx-amz-checksum-crc32c:sOO8/Q==\n\r\n\r\n"
    assert decode(wire, 3, None, (CRC32C,)) == b"abc"
    signed = KINDS["signed with trailer"][0].replace(b"sOO8/Q==\r\n", b"sOO8/Q==\n\r\n")
    assert decode(signed, len(DATA), CONTEXT, (CRC32C,)) == DATA
    for cut in range(1, len(signed)):
        with pytest.raises((IncompleteBody, MalformedTrailerError)):
            decode(signed[:-cut], len(DATA), CONTEXT, (CRC32C,))


@pytest.mark.parametrize("size", [0, 1, 10, 1 << 20])
def test_read_returns_the_requested_size(size: int) -> None:
    data = random_bytes(2 << 20)
    body = ChunkedBody(SlowBody(frame([data[at : at + 65536] for at in range(0, len(data), 65536)]), 100_000), len(data))
    assert body.read(size) == data[:size]
    assert body.read() == data[size:]
    assert body.read() == b""


def test_chunk_larger_than_announced_is_refused_before_its_data_is_read() -> None:
    body = ChunkedBody(io.BytesIO(b"7fffffff\r\nabc"), 3)
    with pytest.raises(IncompleteBody) as raised:
        body.read(1)
    assert raised.value.fields == {"NumberBytesExpected": "3", "NumberBytesProvided": str(0x7FFFFFFF)}  # B105


def test_trailer_after_the_trailer_signature_is_refused() -> None:
    wire = KINDS["signed with trailer"][0]
    trailer, signature = wire.split(b"\r\n")[-4:-2]
    assert signature.startswith(b"x-amz-trailer-signature:")
    swapped = wire.replace(trailer + b"\r\n" + signature, signature + b"\r\n" + trailer)
    with pytest.raises(MalformedTrailerError):
        decode(swapped, len(DATA), CONTEXT, (CRC32C,))
