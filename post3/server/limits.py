"""uvicorn's protocol with limits on what a client may cost before, between and after its requests.

uvicorn's own protocol, based on llhttp, limits neither the size of a request head nor the time it takes to arrive, and
waits indefinitely for a client that stops reading. Here:
 - The request line and headers together may have POST3_MAX_HEAD_SIZE bytes, and so may trailers and the framing of a
   chunk. Anything longer is refused as it arrives (B121). At most that many bytes and one socket read are held.
 - A head must be complete within POST3_HEAD_TIMEOUT seconds of its first byte or, for the first request, of connecting.
 - A client that accepts no byte of a response for POST3_SEND_TIMEOUT seconds is disconnected.
 - Pipelined requests wait unparsed until their turn (`server/ordered.py`).

A timer per connection would have to be set and canceled for each request. Instead, one timer per process checks all
connections every second.
"""

import array
import asyncio
import fcntl
import termios
from base64 import b64encode
from secrets import token_hex
from typing import Any

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from ..conf import conf
from ..errors import BadRequest, RequestHeaderSectionTooLarge, RequestTimeout, S3Error
from ..s3.request import split_target
from ..s3.responses import answer_date, error_response
from .ordered import OrderedProtocol

#: The maximum number of headers of a request.
MAX_HEADERS = 1000
#: Seconds and bytes for which a refused client's data is still read. Closing immediately would reset the connection
#: while the client is writing, and the response would be lost.
LINGER, LINGER_SIZE = 2.0, 1 << 20


class Guard:
    """The limits, read once per server, and the periodic check of all its connections."""

    def __init__(self, connections: set[Any], loop: asyncio.AbstractEventLoop) -> None:
        self._connections, self._loop = connections, loop
        self._timer: asyncio.TimerHandle | None = None
        self.head_size: int = conf.MAX_HEAD_SIZE
        self.head_timeout = conf.HEAD_TIMEOUT or float("inf")
        self.send_timeout = conf.SEND_TIMEOUT or float("inf")
        self._pause = min(1.0, self.head_timeout / 4, self.send_timeout / 4)

    def watch(self) -> None:
        """Check repeatedly, as long as there are connections."""
        if self._timer is None:
            self._timer = self._loop.call_later(self._pause, self._look)

    def _look(self) -> None:
        now, self._timer = self._loop.time(), None
        for connection in list(self._connections):
            connection.check(now)
        if self._connections:
            self.watch()


class BoundedProtocol(OrderedProtocol):
    """One connection."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        guard = getattr(self.server_state, "post3_guard", None)
        if guard is None:
            guard = Guard(self.connections, self.loop)
            vars(self.server_state)["post3_guard"] = guard
        self._guard: Guard = guard
        #: Bytes parsed since the last body data or end of a message, and bytes that the head may still have.
        self._fed, self._head_left = 0, guard.head_size
        #: On the loop's clock: when the wait for the current head began, and when the last response ended. 0: no wait.
        self._head_began = self._idle_since = 0.0
        #: Bytes that the client has yet to read, including the system's buffer, and when this number last changed.
        self._unsent, self._unsent_since = 0, 0.0
        #: When to stop reading from a refused client.
        self._linger_until = 0.0
        self._dropped = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self._head_began = self.loop.time()
        self._guard.watch()

    def data_received(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        if self._linger_until:
            self._drop(data)
            return
        try:
            self.feed(data)
        except httptools.HttpParserUpgrade:
            if self._should_upgrade():
                self.handle_websocket_upgrade()
            else:
                self.cycle.keep_alive = False  # the parser treats everything that follows as the other protocol
            return
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._refuse(cause if isinstance(cause, S3Error) else BadRequest("An error occurred when parsing the HTTP request."))
        except S3Error as error:
            self._refuse(error)

    def parse(self, data: memoryview) -> None:
        self._fed += len(data)
        super().parse(data)
        if self._fed > self._guard.head_size:
            raise self._too_large()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head_left = self._guard.head_size
        self._head_began = self.loop.time()

    def on_url(self, url: bytes) -> None:
        self._head_left -= len(url)
        if self._head_left < 0:
            raise self._too_large()
        self.url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._head_left -= len(name) + len(value) + 4
        if self._head_left < 0 or len(self.headers) >= MAX_HEADERS:
            raise self._too_large()
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._head_began = self._idle_since = 0.0
        if not self.url.startswith(b"/"):  # ASGI scopes have no field for the host of a target in absolute form
            scope: Any = self.scope  # its TypedDict does not allow for further keys, as ASGI does
            scope["post3.authority"] = split_target(self.url.decode("latin-1"))[0]
        if self.expect_100_continue and self.parser.get_http_version() == "1.0":
            self.expect_100_continue = False  # RFC 9110, 10.1.1
        super().on_headers_complete()
        if self.expect_100_continue or not self.cycle.keep_alive:
            self.cycle.transport = Lingering(self)  # type: ignore[assignment]

    def on_body(self, body: bytes) -> None:
        """Do the same as uvicorn, without copying twice a body that is consumed as it arrives."""
        self._fed = 0
        cycle = self.cycle
        if cycle.response_complete or (self.parser.should_upgrade() and self._should_upgrade()):
            return
        if not cycle.body:
            cycle.body = body  # type: ignore[assignment]  # a bytearray from the second piece on
        elif isinstance(cycle.body, bytes):
            cycle.body = bytearray(cycle.body) + body
        else:
            cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        self._fed = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._idle_since = self.loop.time()

    def check(self, now: float) -> None:
        """End the connection if its client has exceeded a time limit."""
        guard, transport = self._guard, self.transport
        unsent = transport.get_write_buffer_size()
        if unsent:
            unsent += _unacknowledged(transport)
        if unsent != self._unsent:
            self._unsent, self._unsent_since = unsent, now
        elif unsent and now - self._unsent_since > guard.send_timeout:
            transport.abort()
            return
        if transport.is_closing():
            return
        if self._linger_until:
            if now > self._linger_until:
                transport.abort()
        elif self.is_answering():
            if self._head_began:  # the head of a pipelined request, which has to wait for its turn
                self._head_began = now
        elif self._head_began:
            if now - self._head_began > guard.head_timeout:
                self._give_up_head()
        elif self._idle_since and now - self._idle_since > self.timeout_keep_alive + guard.head_timeout:
            transport.close()  # the client sends data but no request: the rest of a refused body, or empty lines

    def _give_up_head(self) -> None:
        if self._fed:
            self._refuse(RequestTimeout())
        else:
            self.transport.close()

    def _too_large(self) -> S3Error:
        return RequestHeaderSectionTooLarge(MaxSizeAllowed=self._guard.head_size)

    def _refuse(self, error: S3Error) -> None:
        """Send the error, unless another response is due or in progress. Then end the connection."""
        if self.is_answering():
            if not self.cycle.more_body:  # the request is complete; the error is in what follows it
                self.cycle.keep_alive = False
                self._linger_until = float("inf")
                return
            if self.pipeline or self.cycle.response_started:
                self._linger_until = self.loop.time() + LINGER
                self.transport.close()
                return
        request_id = token_hex(8).upper()
        host_id = b64encode(request_id.encode()).decode()
        answer = error_response(error, "GET", request_id, host_id)
        headers = {**answer.headers, "x-amz-request-id": request_id, "x-amz-id-2": host_id, "Connection": "close"}
        if not self.config.date_header:
            headers["Date"] = answer_date()
        lines = [STATUS_LINE[answer.status], *(b"%s: %s\r\n" % pair for pair in self.server_state.default_headers)]
        lines += [f"{name}: {value}\r\n".encode("latin-1") for name, value in headers.items()]
        self.transport.write(b"".join([*lines, b"\r\n", answer.body if isinstance(answer.body, bytes) else b""]))
        if self.is_answering():  # the request's body was interrupted
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self._linger()

    def end(self) -> None:
        """Close the connection after a response. If the body is still arriving, first give the client time to read."""
        if self._in_body and not self.transport.is_closing():
            self._linger()
        else:
            self.transport.close()

    def _linger(self) -> None:
        self._linger_until = self.loop.time() + LINGER
        if self.transport.can_write_eof():
            self.transport.write_eof()
        else:
            self.transport.close()

    def _drop(self, data: bytes) -> None:
        self._dropped += len(data)
        if self._dropped > LINGER_SIZE and not self.is_answering():
            self.transport.abort()


class Lingering:
    """The transport of a request that ends its connection. Its `close` lets the client read the response first."""

    def __init__(self, protocol: BoundedProtocol) -> None:
        self._protocol = protocol

    def write(self, data: bytes) -> None:
        self._protocol.transport.write(data)

    def is_closing(self) -> bool:
        return self._protocol.transport.is_closing()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._protocol.transport.get_extra_info(name, default)

    def close(self) -> None:
        self._protocol.end()


def _unacknowledged(transport: asyncio.Transport) -> int:
    """Return the number of bytes that the system buffers for the client.

    The system buffers megabytes and accepts no more until a third of them is sent. Without this count, a client that
    reads steadily at 4 KiB a second would look dead for minutes.
    """
    count = array.array("i", [0])
    fcntl.ioctl(transport.get_extra_info("socket").fileno(), termios.TIOCOUTQ, count)
    return count[0]
