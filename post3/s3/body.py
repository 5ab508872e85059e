"""The request body as a stream that counts its bytes: a body shorter than announced is never treated as complete.

WSGI and ASGI servers both end an interrupted upload silently. The ASGI handler's body raises an error itself. Under
WSGI, the bytes are counted here against Content-Length.
"""

import logging
import socket
import threading
import time
from contextlib import suppress
from typing import Any, Protocol

from django.http import HttpRequest

from ..errors import IncompleteBody, RequestTimeout, S3Error

logger = logging.getLogger("post3")

#: Bytes per read of a body that is discarded.
DROPPED_PIECE = 64 * 1024


class Source(Protocol):
    """Bytes to read: `read` returns at most n bytes, `b""` at the end. Raises IncompleteBody."""

    def read(self, size: int = -1, /) -> bytes: ...


class Body(Source, Protocol):
    """A blocking, file-like request body."""

    @property
    def received(self) -> int:
        """The number of bytes received so far."""
        ...


def body_of(request: HttpRequest) -> Body:
    """Return the request's body, unread. The ASGI handler's own body checks its length itself."""
    body: Body | None = getattr(request, "post3_body", None)
    if body is not None:
        return body
    environ = request.META
    stream = environ.get("wsgi.input")
    if stream is None:
        return _DjangoBody(request)
    length = environ.get("CONTENT_LENGTH") or ""
    return WsgiBody(stream, int(length) if length.isascii() and length.isdigit() else None, environ.get("gunicorn.socket"))


class WsgiBody:
    """A WSGI server's input. `length` is None if the server itself ends the input (Transfer-Encoding: chunked).

    `connection`: the client's socket, if the server provides it.

    Reads are serialized. If saving fails, the read-ahead thread may still be reading while the rest is drained, and two
    concurrent counts would consume bytes of the connection's next request.
    """

    def __init__(self, stream: Any, length: int | None, connection: socket.socket | None = None) -> None:
        self._stream, self._left, self.received = stream, length, 0
        self._connection = connection
        self._reading = threading.Lock()

    def read(self, size: int = -1, /) -> bytes:
        with self._reading:
            return self._read(size)

    def drain(self, size: int, seconds: float) -> None:
        """Read and discard the rest of the body, up to `size` bytes and for at most `seconds`.

        A blocked read cannot be canceled, so the time limit shuts down the socket for reading. A server that does not
        provide the socket must limit its reads itself.
        """
        deadline, watch = time.monotonic() + seconds, threading.Timer(seconds, self._end_reading)
        watch.daemon = True
        watch.start()
        try:
            while size > 0 and time.monotonic() < deadline and (piece := self.read(min(size, DROPPED_PIECE))):
                size -= len(piece)
        except S3Error:
            logger.debug("The body of a refused request was cut off.")
        finally:
            watch.cancel()

    def _end_reading(self) -> None:
        if self._connection is not None:
            with suppress(OSError):  # the client has disconnected
                # Not the socket's own method, which would end TLS in both directions and lose the response.
                socket.socket.shutdown(self._connection, socket.SHUT_RD)

    def _read(self, size: int) -> bytes:
        if self._left is not None:
            size = self._left if size < 0 else min(size, self._left)
            if size == 0:
                return b""
        try:
            data: bytes = self._stream.read(size) if size >= 0 else self._stream.read()
        except TimeoutError:
            raise RequestTimeout() from None
        except Exception as error:
            # Servers raise their own exceptions for a broken body. Some are OSErrors, gunicorn's for bad chunks are
            # not.
            raise IncompleteBody() from error
        self.received += len(data)
        if self._left is not None:
            if not data:
                raise IncompleteBody()
            self._left -= len(data)
        return data


class _DjangoBody:
    """The body provided by Django's own ASGI handler: a spooled file, counted against Content-Length."""

    def __init__(self, request: HttpRequest) -> None:
        self._request, self.received = request, 0
        length = request.META.get("CONTENT_LENGTH") or ""
        self._left = int(length) if length.isascii() and length.isdigit() else None

    def read(self, size: int = -1, /) -> bytes:
        data = self._request.read(size) if size >= 0 else self._request.read()
        self.received += len(data)
        if self._left is not None:
            self._left -= len(data)
            if not data and self._left > 0:
                raise IncompleteBody()
        return data
