"""Helpers for the tests of the protocol: handmade requests, AWS's example credentials, an aws-chunked encoder."""

import hashlib
import hmac
import io
from datetime import UTC, datetime
from typing import Any

from post3.s3.request import S3Request, parse_query, percent_decode
from post3.s3.sigv4 import SigningContext

ACCESS_KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
NOW = datetime(2013, 5, 24, tzinfo=UTC)
TIMESTAMP = "20130524T000000Z"
SCOPE = "20130524/us-east-1/s3/aws4_request"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


class SlowBody:
    """A body that arrives in pieces of at most `piece` bytes, as from a network."""

    def __init__(self, data: bytes, piece: int) -> None:
        self._data, self._piece = io.BytesIO(data), piece

    def read(self, size: int = -1, /) -> bytes:
        return self._data.read(self._piece if size < 0 else min(size, self._piece))


def make_request(
    method: str, raw_path: str, raw_query: str = "", headers: dict[str, str] | None = None, body: Any = b""
) -> S3Request:
    bucket, _, key = raw_path[1:].partition("/")
    return S3Request(
        method=method,
        raw_path=raw_path,
        raw_query=raw_query,
        headers={name.lower(): value for name, value in (headers or {}).items()},
        query=parse_query(raw_query),
        bucket=percent_decode(bucket),
        key=percent_decode(key),
        body=io.BytesIO(body) if isinstance(body, bytes) else body,
    )


def authorization(signed_headers: str, signature: str, scope: str = SCOPE, access_key: str = ACCESS_KEY) -> str:
    return f"AWS4-HMAC-SHA256 Credential={access_key}/{scope},SignedHeaders={signed_headers},Signature={signature}"


def example_context(seed: str) -> SigningContext:
    key = b"AWS4" + SECRET.encode()
    for part in SCOPE.split("/"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return SigningContext(seed, key, SCOPE, TIMESTAMP)


def frame(
    pieces: list[bytes], *, context: SigningContext | None = None, trailers: dict[str, str] | None = None, end: bytes = b"\r\n"
) -> bytes:
    """Frame `pieces` as aws-chunked, written from the specification alone."""

    def sign(kind: str, *hashes: str) -> str:
        text = "\n".join((f"AWS4-HMAC-SHA256-{kind}", context.timestamp, context.scope, previous, *hashes))
        return hmac.new(context.signing_key, text.encode(), hashlib.sha256).hexdigest()

    wire = b""
    previous = context.seed_signature if context else ""
    for piece in [*pieces, b""]:
        header = f"{len(piece):x}"
        if context:
            previous = sign("PAYLOAD", EMPTY_SHA256, hashlib.sha256(piece).hexdigest())
            header += f";chunk-signature={previous}"
        wire += header.encode() + b"\r\n" + (piece + b"\r\n" if piece else b"")
    for name, value in (trailers or {}).items():
        wire += f"{name}:{value}\r\n".encode()
    if context and trailers:
        lines = "".join(f"{name}:{value}\n" for name, value in trailers.items())
        wire += f"x-amz-trailer-signature:{sign('TRAILER', hashlib.sha256(lines.encode()).hexdigest())}\r\n".encode()
    return wire + end
