"""Requests as raw bytes, signed here independently of the code under test and sent unchanged.

The path and the query go over the wire as given, never encoded or normalized. A body can be interrupted. Signing
follows https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html.
"""

import contextlib
import hashlib
import hmac
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

REGION, SERVICE, ALGORITHM = "us-east-1", "s3", "AWS4-HMAC-SHA256"
UNSIGNED = "UNSIGNED-PAYLOAD"
Headers = Sequence[tuple[str, str]]


@dataclass(slots=True)
class RawResponse:
    """A response as received. Header names are in lower case. The last one of a repeated header counts."""

    status: int
    headers: dict[str, str]
    body: bytes
    #: The status line and the headers as received.
    head: bytes = b""


@dataclass(slots=True)
class SignedRequest:
    """A request with its signature, which seeds the signatures of aws-chunked bodies."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    signature: str
    timestamp: str
    scope: str
    signing_key: bytes = field(repr=False)

    def head(self) -> bytes:
        lines = [f"{self.method} {self.target} HTTP/1.1", *(f"{name}: {value}" for name, value in self.headers)]
        return "\r\n".join([*lines, "", ""]).encode()

    def chunk_signature(self, previous: str, data: bytes) -> str:
        """Return the signature of a STREAMING-AWS4-HMAC-SHA256-PAYLOAD chunk. `previous` is the signature before it."""
        parts = [f"{ALGORITHM}-PAYLOAD", self.timestamp, self.scope, previous, _sha256(b""), _sha256(data)]
        return _hmac(self.signing_key, "\n".join(parts)).hex()

    def trailer_signature(self, previous: str, trailer: bytes) -> str:
        """Return the signature of the trailing headers (`name:value` lines, each with its newline)."""
        parts = [f"{ALGORITHM}-TRAILER", self.timestamp, self.scope, previous, _sha256(trailer)]
        return _hmac(self.signing_key, "\n".join(parts)).hex()

    def chunked_body(self, chunks: Iterable[bytes], trailer: bytes | None = None) -> bytes:
        """Return an aws-chunked body of these chunks and the empty last one, each signed, and a signed trailer."""
        signature, body = self.signature, b""
        for chunk in [*chunks, b""]:
            signature = self.chunk_signature(signature, chunk)
            body += f"{len(chunk):x};chunk-signature={signature}\r\n".encode() + chunk
            body += b"\r\n" if chunk or trailer is None else b""
        if trailer is not None:
            signature = self.trailer_signature(signature, trailer)
            body += trailer.replace(b"\n", b"\r\n") + f"x-amz-trailer-signature:{signature}\r\n\r\n".encode()
        return body


class RawClient:
    """Signs and sends requests to one server."""

    def __init__(self, host: str, port: int, access_key: str, secret_key: str) -> None:
        self.host, self.port, self.access_key, self.secret_key = host, port, access_key, secret_key

    def send(
        self,
        method: str,
        path: str,
        query: str = "",
        headers: Headers = (),
        body: bytes = b"",
        *,
        payload_hash: str | None = None,
        unsigned_headers: Headers = (),
        signed: bool = True,
        cut_at: int | None = None,
    ) -> RawResponse | None:
        """Send a request and return the response.

        `payload_hash`: the value of x-amz-content-sha256; by default, the body's own hash. `cut_at`: send only this
        many bytes of the body, then close and return None. `signed=False`: send neither a signature nor any x-amz-*
        headers except the given ones.
        """
        if not any(name.lower() in ("content-length", "transfer-encoding") for name, _ in [*headers, *unsigned_headers]):
            unsigned_headers = (
                [*unsigned_headers, ("Content-Length", str(len(body)))] if body or method != "GET" else unsigned_headers
            )
        if signed:
            head = self.sign(
                method, path, query, headers, body, payload_hash=payload_hash, unsigned_headers=unsigned_headers
            ).head()
        else:
            target = f"{path}?{query}" if query else path
            lines = [f"{method} {target} HTTP/1.1", f"Host: {self.host}:{self.port}"]
            lines += [f"{name}: {value}" for name, value in [*headers, *unsigned_headers]]
            head = "\r\n".join([*lines, "", ""]).encode()
        return self.send_bytes(head + (body if cut_at is None else body[:cut_at]), method, answer=cut_at is None)

    def send_bytes(self, data: bytes, method: str = "GET", *, answer: bool = True) -> RawResponse | None:
        """Send these bytes on a new connection. Return the response, or close without waiting for it."""
        with socket.create_connection((self.host, self.port), timeout=60) as connection:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused early: the response says so
                connection.sendall(data)
            return read_response(connection, method) if answer else None

    def sign(
        self,
        method: str,
        path: str,
        query: str = "",
        headers: Headers = (),
        body: bytes = b"",
        *,
        payload_hash: str | None = None,
        unsigned_headers: Headers = (),
        now: datetime | None = None,
    ) -> SignedRequest:
        """Sign a request in its Authorization header."""
        timestamp = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
        digest = _sha256(body) if payload_hash is None else payload_hash
        own = [("Host", f"{self.host}:{self.port}"), ("x-amz-date", timestamp), ("x-amz-content-sha256", digest)]
        given = {name.lower() for name, _ in headers}
        signed = [*(header for header in own if header[0].lower() not in given), *headers]
        signature, names, scope, key = self._signature(method, path, query, signed, digest, timestamp)
        credential = f"{ALGORITHM} Credential={self.access_key}/{scope},SignedHeaders={names},Signature={signature}"
        wire = [*signed, *unsigned_headers, ("Authorization", credential)]
        return SignedRequest(method, f"{path}?{query}" if query else path, wire, signature, timestamp, scope, key)

    def presign(
        self, method: str, path: str, query: str = "", headers: Headers = (), *, expires: int = 300, now: datetime | None = None
    ) -> str:
        """Return the query of a presigned URL, to be sent with `signed=False` and the same headers."""
        timestamp = (now or datetime.now(UTC)).strftime("%Y%m%dT%H%M%SZ")
        signed = [("Host", f"{self.host}:{self.port}"), *headers]
        names = ";".join(sorted({name.lower() for name, _ in signed}))
        credential = quote(f"{self.access_key}/{_scope(timestamp)}", safe="")
        parts = [query] if query else []
        parts += [f"X-Amz-Algorithm={ALGORITHM}", f"X-Amz-Credential={credential}", f"X-Amz-Date={timestamp}"]
        parts += [f"X-Amz-Expires={expires}", f"X-Amz-SignedHeaders={quote(names, safe='')}"]
        query = "&".join(parts)
        return f"{query}&X-Amz-Signature={self._signature(method, path, query, signed, UNSIGNED, timestamp)[0]}"

    def _signature(
        self, method: str, path: str, query: str, headers: Headers, digest: str, timestamp: str
    ) -> tuple[str, str, str, bytes]:
        """Return the signature, the names of the signed headers, the scope and the signing key."""
        values: dict[str, str] = {}
        for name, value in headers:
            name, value = name.lower(), " ".join(value.split())
            values[name] = f"{values[name]},{value}" if name in values else value
        names = ";".join(sorted(values))
        pairs = sorted(pair.partition("=")[::2] for pair in query.split("&") if pair)
        canonical = "&".join(f"{name}={value}" for name, value in pairs)
        lines = [method, path, canonical, *(f"{name}:{values[name]}" for name in sorted(values)), "", names, digest]
        scope = _scope(timestamp)
        to_sign = "\n".join([ALGORITHM, timestamp, scope, _sha256("\n".join(lines).encode())])
        key = f"AWS4{self.secret_key}".encode()
        for part in scope.split("/"):
            key = _hmac(key, part)
        return _hmac(key, to_sign).hex(), names, scope, key


def connect(server: Any, *, timeout: float = 20, receive_buffer: int = 0) -> socket.socket:
    """Return a connection to a server, which may be given by a client of it.

    A small `receive_buffer` makes the server wait for a client that reads slowly.
    """
    connection = socket.socket()
    try:
        if receive_buffer:  # before connecting, otherwise the window is large already
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        connection.settimeout(timeout)
        connection.connect((server.host, server.port))
    except BaseException:
        connection.close()
        raise
    return connection


class Responses:
    """The responses of one connection, to be read in order by `read_response`."""

    def __init__(self, connection: socket.socket) -> None:
        self._file = connection.makefile("rb")

    def makefile(self, mode: str) -> Any:
        """Return the same file each time, because it may already contain the beginning of the next response."""
        return self._file


def read_response(connection: Any, method: str = "GET") -> RawResponse:
    """Read one response: to its Content-Length, its last chunk, or the end of the connection. An early end raises."""
    file = connection.makefile("rb")
    head = b""
    while True:
        line = file.readline()
        if not line:
            raise ConnectionError(f"The server closed the connection without a response: {head!r}")
        head += line
        if line in (b"\r\n", b"\n"):
            if head.split(b" ", 2)[1].startswith(b"1"):  # 100 Continue
                head = b""
                continue
            break
    status_line, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
    status = int(status_line.split(" ", 2)[1])
    if method == "HEAD" or status in (204, 304):
        return RawResponse(status, headers, b"", head)
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return RawResponse(status, headers, _read_chunks(file), head)
    if "content-length" in headers:
        length = int(headers["content-length"])
        body = file.read(length)
        if len(body) < length:
            raise ConnectionError(f"The response broke off after {len(body)} of {length} bytes.")
        return RawResponse(status, headers, body, head)
    return RawResponse(status, headers, file.read(), head)


def _read_chunks(file: Any) -> bytes:
    body = b""
    while size := int(file.readline().split(b";")[0], 16):
        body += file.read(size)
        file.readline()
    while file.readline() not in (b"\r\n", b""):
        pass
    return body


def _scope(timestamp: str) -> str:
    return f"{timestamp[:8]}/{REGION}/{SERVICE}/aws4_request"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()
