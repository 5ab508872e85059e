"""aws-chunked: the framing that S3 clients add to a body, signed or unsigned, with or without trailers.

    <hex size>[;chunk-signature=<hex>] CRLF <data> CRLF ...
    0[;chunk-signature=<hex>] CRLF [<name>:<value> CRLF ...] CRLF

Signed chunks form a chain. Each signature covers the previous one: the first chunk's covers the request's own (the
seed), and the trailers' covers the last chunk's. Framing is parsed strictly, because guessing could store framing as
data. There is one exception, for minio-go: a trailer line may end with a bare LF, and empty lines among the trailers
are skipped.

AWS requires at least 8 KiB in every signed chunk except the last (InvalidChunkSizeError). This protects AWS's machines,
not the data, and is not enforced here, because the cost of small chunks is linear.
Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html,
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming-trailers.html
"""

import hashlib
import hmac
import re
from collections.abc import Iterable

from ..errors import IncompleteBody, MalformedTrailerError, SignatureDoesNotMatch
from .body import Source
from .sigv4 import SigningContext

#: Maximum bytes in a chunk's header line. With a signature, it has about 100.
MAX_LINE = 8 << 10
#: Maximum bytes in all trailers together.
MAX_TRAILERS = 16 << 10
#: Minimum bytes requested per read of the body. Clients send chunks of 16 KiB to 1 MiB. A read per chunk would be slow.
READ_SIZE = 256 << 10
#: Maximum bytes requested per read, however much the caller wants.
MAX_READ_SIZE = 1 << 20

TRAILER_SIGNATURE = "x-amz-trailer-signature"

_CHUNK_HEADER = re.compile(rb"([0-9a-fA-F]{1,16})(?:;chunk-signature=([0-9a-f]{64}))?")
_EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()


class ChunkedBody:
    """A body without its aws-chunked framing.

    `read(n)` returns n bytes unless the body ends. It returns `b""` only after everything is verified: chunk
    signatures, decoded length, trailers, and that nothing follows. Then `trailers` maps lower-case names to values.

    A chunk may be gigabytes long, so its bytes are returned before its signature is verified. A wrong signature raises
    an error at the end of the chunk. Callers publish nothing before `b""`, so invalid bytes never become visible.

    Raises IncompleteBody for bad framing and wrong lengths, SignatureDoesNotMatch, MalformedTrailerError for bad
    trailers (B107).
    """

    def __init__(
        self, body: Source, decoded_length: int, *, context: SigningContext | None = None, announced_trailers: Iterable[str] = ()
    ) -> None:
        """`context` None: chunks are unsigned. `announced_trailers`: lower-case names; exactly these must arrive."""
        self.trailers: dict[str, str] = {}
        self._body, self._context, self._announced = body, context, frozenset(announced_trailers)
        self._length = decoded_length
        self._missing = decoded_length  # bytes of the decoded body not yet announced by a chunk header
        self._buffer, self._at = b"", 0  # bytes read from the body; the position of the first unused one
        self._left = 0  # bytes of the current chunk not yet returned
        self._in_chunk = False  # whether a chunk's closing CRLF is still expected
        self._done = False
        self._previous = context.seed_signature if context else ""
        self._signature = ""
        self._sha256 = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        pieces: list[memoryview] = []
        wanted = self._left + self._missing + 1 if size < 0 else size
        while wanted and not self._done:
            if not self._left:
                self._next_chunk()
                continue
            if self._at == len(self._buffer):
                self._fill(min(max(wanted, READ_SIZE), MAX_READ_SIZE))
            piece = memoryview(self._buffer)[self._at : self._at + min(wanted, self._left)]
            self._at += len(piece)
            self._left -= len(piece)
            wanted -= len(piece)
            if self._context:
                self._sha256.update(piece)
            pieces.append(piece)
        return b"".join(pieces)

    def _next_chunk(self) -> None:
        """Finish the current chunk, and read the header of the next chunk or the end of the body."""
        if self._in_chunk:
            self._expect_crlf()
            self._verify_chunk()
        match = _CHUNK_HEADER.fullmatch(self._line())
        if match is None or (match[2] is None) != (self._context is None):
            raise _malformed()
        self._left = int(match[1], 16)
        if self._left > self._missing:
            raise self._wrong_length(self._length - self._missing + self._left)
        self._missing -= self._left
        self._in_chunk = self._left > 0
        if self._context:
            self._signature, self._sha256 = match[2].decode(), hashlib.sha256()
        if not self._in_chunk:
            self._finish()

    def _finish(self) -> None:
        """Verify the last chunk and everything after it."""
        if self._missing:
            raise self._wrong_length(self._length - self._missing)
        self._verify_chunk()
        self._read_trailers(self._rest())
        self._done = True

    def _wrong_length(self, provided: int) -> IncompleteBody:
        """Return the error for a decoded length that differs from the announced one (B105).

        If there are too many bytes, `provided` counts those of the chunk headers read so far.
        """
        return IncompleteBody(NumberBytesExpected=self._length, NumberBytesProvided=provided)

    def _verify_chunk(self) -> None:
        if self._context is None:
            return
        context = self._context
        self._verify(
            context,
            f"AWS4-HMAC-SHA256-PAYLOAD\n{context.timestamp}\n{context.scope}\n{self._previous}\n{_EMPTY_SHA256}\n"
            f"{self._sha256.hexdigest()}",
            self._signature,
        )

    def _verify(self, context: SigningContext, string_to_sign: str, provided: str) -> None:
        computed = hmac.digest(context.signing_key, string_to_sign.encode(), "sha256").hex()
        if not hmac.compare_digest(computed.encode(), provided.encode()):
            raise SignatureDoesNotMatch(StringToSign=string_to_sign, SignatureProvided=provided)
        self._previous = computed

    def _read_trailers(self, block: bytes) -> None:
        """Parse the bytes after the last chunk's header: the trailers and an empty line, or only an empty line."""
        signature = None
        if block != b"\r\n":
            if not block.endswith(b"\r\n\r\n"):
                raise _malformed()
            for line in block.split(b"\n"):
                name, colon, value = line.removesuffix(b"\r").decode("latin-1").partition(":")
                name, value = name.lower(), value.strip(" \t")
                if not name and not colon:
                    continue
                if not colon or name in self.trailers or (name == TRAILER_SIGNATURE and signature is not None):
                    raise MalformedTrailerError()
                if name == TRAILER_SIGNATURE:
                    signature = value
                elif signature is not None:  # the signature does not cover trailers after it
                    raise MalformedTrailerError()
                else:
                    self.trailers[name] = value
        if self.trailers.keys() != self._announced:
            raise MalformedTrailerError()
        context = self._context
        if (signature is not None) != (context is not None and bool(self.trailers)):
            raise MalformedTrailerError()
        if signature is not None and context is not None:
            lines = "".join(f"{name}:{value}\n" for name, value in self.trailers.items())
            self._verify(
                context,
                f"AWS4-HMAC-SHA256-TRAILER\n{context.timestamp}\n{context.scope}\n{self._previous}\n"
                f"{hashlib.sha256(lines.encode('latin-1')).hexdigest()}",
                signature,
            )

    def _line(self) -> bytes:
        """Consume and return a line, without its CRLF."""
        while (end := self._buffer.find(b"\r\n", self._at)) < 0:
            if len(self._buffer) - self._at > MAX_LINE:
                raise _malformed()
            self._fill(READ_SIZE)
        line = self._buffer[self._at : end] if end - self._at <= MAX_LINE else b""
        self._at = end + 2
        return line

    def _expect_crlf(self) -> None:
        while len(self._buffer) - self._at < 2:
            self._fill(READ_SIZE)
        if not self._buffer.startswith(b"\r\n", self._at):
            raise _malformed()
        self._at += 2

    def _rest(self) -> bytes:
        """Consume and return everything up to the end of the body."""
        rest = self._buffer[self._at :]
        while data := self._body.read(READ_SIZE):
            rest += data
            if len(rest) > MAX_TRAILERS:
                raise MalformedTrailerError()
        if len(rest) > MAX_TRAILERS:
            raise MalformedTrailerError()
        self._buffer, self._at = b"", 0
        return rest

    def _fill(self, size: int) -> None:
        """Read more of the body into the buffer, after its unused bytes. Raises IncompleteBody at the end."""
        data = self._body.read(size)
        if not data:
            raise _malformed()
        self._buffer = self._buffer[self._at :] + data if self._at < len(self._buffer) else data
        self._at = 0


def _malformed() -> IncompleteBody:
    return IncompleteBody("The request body terminated unexpectedly")  # B104
