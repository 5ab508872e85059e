"""The payload of a request: its bytes without framing, hashed and verified as they are read.

Readers are stacked, each with one task: the server's body, `ChunkedBody` (framing, chunk signatures, trailers) and
`Payload` (length, hashes). A payload is complete once `read` has returned the announced number of bytes. It returns the
last of them only after everything is verified, so a caller may stop at the announced length.
"""

import base64
import binascii
import hashlib
import io
import re
from collections.abc import Mapping
from typing import Any

from ..checksums import DEFAULT_ALGORITHM, Hasher, is_valid, new_hasher
from ..conf import conf
from ..errors import (
    BadDigest,
    EntityTooLarge,
    IncompleteBody,
    InvalidArgument,
    InvalidDigest,
    InvalidRequest,
    MaxMessageLengthExceeded,
    MissingContentLength,
    S3NotImplemented,
    XAmzContentSHA256Mismatch,
)
from .body import Source
from .checksum_headers import header_name, requested_checksum, trailer_names
from .chunked import ChunkedBody
from .request import S3Request
from .signature import UNSIGNED_PAYLOAD, payload_hash_of
from .sigv4 import SigningContext

SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
SIGNED_CHUNKS_TRAILER = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
UNSIGNED_CHUNKS_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"

_CHUNKED = frozenset({SIGNED_CHUNKS, SIGNED_CHUNKS_TRAILER, UNSIGNED_CHUNKS_TRAILER})
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
#: Bytes per read of a document.
_READ_SIZE = 64 << 10


class Payload:
    """A verified body. At the end, `md5` (hex) and `checksum` (base64, "" without an algorithm) are set.

    `read(n)` returns at most n bytes, `b""` at the end. Raises IncompleteBody, XAmzContentSHA256Mismatch, BadDigest,
    InvalidRequest for a malformed trailing checksum, and what ChunkedBody raises.
    """

    def __init__(
        self,
        source: Source,
        length: int,
        *,
        trailers: Mapping[str, str] | None = None,
        algorithm: str = "",
        client_checksum: bool = False,
        expected_checksum: str | None = None,
        expected_md5: bytes | None = None,
        expected_sha256: str | None = None,
        hex_digest: bool = True,
    ) -> None:
        """`trailers`: those of the source, complete at its end.
        `client_checksum` with `expected_checksum` None: the checksum is one of the trailers.
        `hex_digest`: whether an error gives the client's MD5 in hex or in base64 (B031).
        """
        self.length = length  # the announced number of decoded bytes
        self.md5 = ""
        self.checksum_algorithm = algorithm
        self.checksum = ""
        self.client_checksum = client_checksum  # whether the client named the algorithm
        self._source, self._left, self._verified = source, length, False
        self._trailers = {} if trailers is None else trailers
        self._expected_checksum, self._expected_md5, self._expected_sha256 = expected_checksum, expected_md5, expected_sha256
        self._hex_digest = hex_digest
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha256 = hashlib.sha256() if expected_sha256 else None
        self._hasher: Hasher | None = None
        if algorithm == "SHA256" and self._sha256:
            self._hasher = _Shared(self._sha256)  # one SHA-256 for both
        elif algorithm:
            self._hasher = new_hasher(algorithm)

    def read(self, size: int = -1, /) -> bytes:
        if size < 0:
            pieces = []
            while data := self.read(_READ_SIZE):
                pieces.append(data)
            return b"".join(pieces)
        if self._verified:
            return b""
        data = self._source.read(min(size, self._left)) if self._left else b""
        if not data and self._left:
            if size == 0:
                return b""
            raise IncompleteBody()
        self._left -= len(data)
        if self._left < 0:
            raise IncompleteBody()
        if data:
            self._md5.update(data)
            if self._sha256:
                self._sha256.update(data)
            if self._hasher:
                self._hasher.update(data)
        if not self._left:
            self._verify()
        return data

    def _verify(self) -> None:
        if self._source.read(1):  # also makes a ChunkedBody read its trailers
            raise IncompleteBody()
        md5 = self._md5.digest()
        checksum = self._hasher.base64() if self._hasher else ""
        if self._sha256 and self._sha256.hexdigest() != self._expected_sha256:
            raise XAmzContentSHA256Mismatch(
                ClientComputedContentSHA256=self._expected_sha256, S3ComputedContentSHA256=self._sha256.hexdigest()
            )
        if self._expected_md5 is not None and md5 != self._expected_md5:
            raise BadDigest(
                "The Content-MD5 you specified did not match what we received.",
                ExpectedDigest=self._expected_md5.hex() if self._hex_digest else base64.b64encode(self._expected_md5).decode(),
                CalculatedDigest=base64.b64encode(md5).decode(),
            )
        if self.client_checksum and checksum != self._client_checksum():
            raise BadDigest(f"The {self.checksum_algorithm} you specified did not match the calculated checksum.")
        self.md5, self.checksum, self._verified = md5.hex(), checksum, True

    def _client_checksum(self) -> str:
        if self._expected_checksum is not None:
            return self._expected_checksum
        name = header_name(self.checksum_algorithm)
        value = self._trailers[name]  # ChunkedBody refuses a missing trailer
        if not is_valid(self.checksum_algorithm, value):
            raise InvalidRequest(f"Value for {name} trailing header is invalid.")
        return value


class _Shared:
    """A view of a SHA-256 hash that is updated elsewhere."""

    def __init__(self, sha256: "hashlib._Hash") -> None:
        self.digest = sha256.digest

    def update(self, data: bytes, /) -> None: ...

    def base64(self) -> str:
        return base64.b64encode(self.digest()).decode()


def open_payload(
    request: S3Request, context: SigningContext | None, default_algorithm: str = DEFAULT_ALGORITHM, *, hex_digest: bool = True
) -> Payload:
    """Open the request's body without reading from it.

    `context` is None for anonymous requests. `default_algorithm` is used if the client names none; "" computes none.
    `hex_digest`: whether BadDigest gives the client's MD5 in hex (B031).
    Raises MissingContentLength, EntityTooLarge, InvalidDigest, InvalidArgument, InvalidRequest, S3NotImplemented.
    """
    framing = _framing(request)
    length = _announced_length(request, "x-amz-decoded-content-length" if framing else "content-length")
    if length > conf.MAX_BODY_SIZE:
        raise EntityTooLarge(ProposedSize=length, MaxSizeAllowed=conf.MAX_BODY_SIZE)
    return _open(request, context, framing, request.body, length, default_algorithm, hex_digest=hex_digest)


def open_document(request: S3Request, context: SigningContext | None, limit: int, *, verify_checksum: bool = True) -> Payload:
    """Open a small body, verified like any other. Without an announced length, it ends where the server's body ends.

    `verify_checksum` False: the x-amz-checksum-* headers do not apply to this body (in CompleteMultipartUpload, they
    apply to the object). Raises MaxMessageLengthExceeded for more than `limit` bytes, and what open_payload raises.
    """
    framing = _framing(request)
    body: Source = request.body
    if framing or request.header("content-length"):
        length = _announced_length(request, "x-amz-decoded-content-length" if framing else "content-length")
    else:
        data = io.BytesIO()
        while piece := body.read(_READ_SIZE):
            data.write(piece)
            if data.tell() > limit:
                raise MaxMessageLengthExceeded(MaxMessageLengthBytes=limit)
        length = data.tell()
        data.seek(0)
        body = data
    if length > limit:
        raise MaxMessageLengthExceeded(MaxMessageLengthBytes=limit)
    return _open(request, context, framing, body, length, "", verify_checksum=verify_checksum)


def _open(
    request: S3Request,
    context: SigningContext | None,
    framing: str,
    body: Source,
    length: int,
    default_algorithm: str,
    *,
    verify_checksum: bool = True,
    hex_digest: bool = True,
) -> Payload:
    requested = requested_checksum(request) if verify_checksum or request.header("x-amz-trailer") else None
    source, trailers = body, None
    if framing:
        if framing != UNSIGNED_CHUNKS_TRAILER and context is None:
            raise InvalidRequest("Signed chunks need a signed request.")
        announced = trailer_names(request) if framing != SIGNED_CHUNKS else ()
        signing = context if framing != UNSIGNED_CHUNKS_TRAILER else None
        source = chunked = ChunkedBody(body, length, context=signing, announced_trailers=announced)
        trailers = chunked.trailers
    if requested and requested[1] is None and framing in ("", SIGNED_CHUNKS):
        # The client relies on a checksum that cannot arrive: refuse the request instead of not verifying the body.
        raise InvalidRequest("x-amz-trailer needs an x-amz-content-sha256 that ends in -TRAILER.")
    payload_hash = payload_hash_of(request)
    return Payload(
        source,
        length,
        trailers=trailers,
        algorithm=requested[0] if requested else default_algorithm,
        client_checksum=requested is not None,
        expected_checksum=requested[1] if requested else None,
        expected_md5=_content_md5(request),
        expected_sha256=payload_hash.lower() if _SHA256.fullmatch(payload_hash) else None,
        hex_digest=hex_digest,
    )


def _framing(request: S3Request) -> str:
    """Return the aws-chunked framing of the body, as its x-amz-content-sha256 token, or "" if there is none."""
    payload_hash = payload_hash_of(request)
    if payload_hash in _CHUNKED:
        return payload_hash
    if payload_hash == UNSIGNED_PAYLOAD:
        # boto3 without credentials also frames the body, but has no signer to set x-amz-content-sha256.
        codings = [coding.strip().lower() for coding in request.header("content-encoding").split(",")]
        chunked = "aws-chunked" in codings and "x-amz-decoded-content-length" in request.headers
        return UNSIGNED_CHUNKS_TRAILER if chunked else ""
    if payload_hash.startswith("STREAMING-AWS4-ECDSA-"):
        raise S3NotImplemented("Signature Version 4A is not implemented.", Header="x-amz-content-sha256")
    if not _SHA256.fullmatch(payload_hash):
        raise InvalidArgument(
            f"x-amz-content-sha256 must be {UNSIGNED_PAYLOAD}, {UNSIGNED_CHUNKS_TRAILER}, {SIGNED_CHUNKS}, "
            f"{SIGNED_CHUNKS_TRAILER}, "
            "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD, STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER or a valid sha256 value.",
            ArgumentName="x-amz-content-sha256",
            ArgumentValue=payload_hash,
        )
    return ""


def _announced_length(request: S3Request, name: str) -> int:
    text = request.header(name)
    if not text:
        if name == "content-length" and request.header("transfer-encoding"):
            raise S3NotImplemented(Header="Transfer-Encoding")  # B033
        raise MissingContentLength()
    if not re.fullmatch(r"[0-9]{1,18}", text):  # not str.isdigit, which accepts non-ASCII digits
        if name == "x-amz-decoded-content-length":
            raise MissingContentLength()  # B105
        raise InvalidArgument(f"Value for {name} header is invalid.", ArgumentName=name, ArgumentValue=text)
    return int(text)


def _content_md5(request: S3Request) -> bytes | None:
    text = request.headers.get("content-md5")
    if text is None:
        return None
    try:
        md5 = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        md5 = b""
    if len(md5) != 16:
        fields: dict[str, Any] = {"Content-MD5": text}
        raise InvalidDigest(**fields)
    return md5
