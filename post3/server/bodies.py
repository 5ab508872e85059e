"""Request bodies under ASGI, as blocking, file-like objects with bounded buffering and back-pressure.

ASGI servers end a cut-off upload quietly (`http.disconnect`); here it raises IncompleteBody, so that a body shorter than
announced never becomes an object.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from io import RawIOBase
from typing import Any

from ..conf import conf
from ..errors import IncompleteBody, RequestTimeout
from ..threads.parking import PARK_AFTER, parked

Receive = Callable[[], Awaitable[dict[str, Any]]]

#: Bytes of a body buffered ahead of its reader, at most (plus one message of the server's).
BUFFER_SIZE = 4 * 1024 * 1024
#: Bytes that must come in POST3_BODY_TIMEOUT seconds: a byte now and then would hold a thread's stack, or memory, for ever.
PROGRESS = 16 * 1024


class Patience:
    """How long a body was waited for since its sender last made progress, not counting what the receiver itself takes."""

    def __init__(self) -> None:
        self._timeout: float = conf.BODY_TIMEOUT or float("inf")
        self._waited, self._received = 0.0, 0

    @property
    def left(self) -> float | None:
        """Seconds that may be waited; None: any time."""
        return None if self._timeout == float("inf") else max(0.0, self._timeout - self._waited)

    def spend(self, seconds: float, received: int) -> bool:
        """Note that so long was waited, and that so many bytes have come by now; return whether patience is left."""
        self._waited += seconds
        if received - self._received >= PROGRESS:
            self._waited, self._received = 0.0, received
        return self._waited < self._timeout


async def gone(receive: Receive) -> None:
    """Return when the client has gone away."""
    while (await receive())["type"] != "http.disconnect":
        pass


class MemoryBody:
    """A small body, read already."""

    __slots__ = ("_data", "_late", "_position", "_whole")
    begun = True

    def __init__(self, data: bytes, whole: bool, late: bool = False) -> None:
        self._data, self._position, self._whole, self._late = data, 0, whole, late

    @classmethod
    async def receive(cls, receive: Receive, length: int, expects_continue: bool) -> "MemoryBody":
        """Read a body of that many bytes; nothing is asked of the server where there is none.

        But a client that waits for `100 Continue` gets it even for no bytes: botocore takes a connection on which a final
        answer came instead for broken from then on, and hangs on the next one (`AWSConnection.response_class`).
        """
        if length == 0 and not expects_continue:
            return cls(b"", True)
        pieces: list[bytes] = []
        received, patience = 0, Patience()
        while True:
            began = time.monotonic()
            try:
                async with asyncio.timeout(patience.left):
                    message = await receive()
            except TimeoutError:
                return cls(b"".join(pieces), False, late=True)
            if message["type"] == "http.disconnect":
                return cls(b"".join(pieces), False)
            pieces.append(message.get("body", b""))
            received += len(pieces[-1])
            if not message.get("more_body", False):
                break
            if not patience.spend(time.monotonic() - began, received):
                return cls(b"".join(pieces), False, late=True)
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        return cls(data, received == length)

    @property
    def received(self) -> int:
        return len(self._data)

    def read(self, size: int = -1, /) -> bytes:
        if size < 0 or (self._position == 0 and size >= len(self._data)):
            data = self._data[self._position :] if self._position else self._data
        else:
            data = self._data[self._position : self._position + size]
        self._position += len(data)
        if not data and size and not self._whole:
            raise RequestTimeout() if self._late else IncompleteBody()
        return data

    def stop(self) -> None:
        """Nothing runs that would have to be stopped."""


class StreamedBody:
    """A body that is read as it comes: a large one, or one whose client waits for `100 Continue`.

    A task on the event loop, begun with the first `read`, fills a bounded buffer; a worker thread empties it. Beginning only
    then matters: asking the server for the body is what sends `100 Continue`, and a request refused by its headers, its
    signature among them, must not invite it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, receive: Receive) -> None:
        self._loop, self._receive = loop, receive
        self._pieces: deque[bytes] = deque()
        #: Bytes buffered, and how many the reader waits for.
        self._buffered = self._wanted = 0
        #: Bytes that came by now.
        self.received = 0
        self._patience: Patience | None = None
        self._ended = self._cut = False
        self._filled = threading.Condition()
        self._room = asyncio.Event()
        self._task: Any = None

    def read(self, size: int = -1, /) -> bytes:
        """Return exactly `size` bytes, fewer only at the end. Raises IncompleteBody, RequestTimeout."""
        if self._task is None:
            self._task = asyncio.run_coroutine_threadsafe(self._fill(), self._loop)
        taken: list[bytes] = []
        missing = size if size >= 0 else 1 << 62
        with self._filled:
            while missing > 0:
                self._wait_for(min(missing, BUFFER_SIZE))
                if not self._pieces:
                    if self._cut:
                        raise IncompleteBody()
                    break
                piece = self._pieces.popleft()
                if len(piece) > missing:
                    self._pieces.appendleft(piece[missing:])
                    piece = piece[:missing]
                taken.append(piece)
                missing -= len(piece)
                self._take(len(piece))
        return taken[0] if len(taken) == 1 else b"".join(taken)

    def _wait_for(self, count: int) -> None:
        """Wait for that many bytes or the end. Where it takes long, the thread's place is another's meanwhile."""
        if self._ended or self._buffered >= count:
            return
        self._wanted = count
        self._patience = self._patience or Patience()
        began = time.monotonic()
        came = self._filled.wait_for(lambda: self._ended or self._buffered >= count, PARK_AFTER)
        if not self._patience.spend(time.monotonic() - began, self.received):
            raise RequestTimeout()
        if came:
            return
        self._filled.release()
        try:
            with parked():
                self._wait_patiently(count, self._patience)
        finally:
            self._filled.acquire()

    def _wait_patiently(self, count: int, patience: Patience) -> None:
        with self._filled:
            while not self._ended and self._buffered < count:
                began = time.monotonic()
                self._filled.wait(patience.left)
                if not patience.spend(time.monotonic() - began, self.received):
                    raise RequestTimeout()

    def _take(self, count: int) -> None:
        was_full = self._buffered >= BUFFER_SIZE
        self._buffered -= count
        if was_full and self._buffered < BUFFER_SIZE:
            self._loop.call_soon_threadsafe(self._room.set)

    async def _fill(self) -> None:
        more = True
        try:
            while more:
                message = await self._receive()
                if message["type"] == "http.disconnect":
                    return
                more = message.get("more_body", False)
                full = self._put(message.get("body", b""))
                if full:
                    await self._room.wait()
        finally:
            with self._filled:
                self._ended, self._cut = True, more
                self._filled.notify()

    def _put(self, piece: bytes) -> bool:
        with self._filled:
            if piece:
                self._pieces.append(piece)
                self._buffered += len(piece)
                self.received += len(piece)
                if self._buffered >= self._wanted:  # a thread woken for less would fight for Python's lock in vain
                    self._filled.notify()
            full = self._buffered >= BUFFER_SIZE
            if full:
                self._room.clear()
            return full

    @property
    def begun(self) -> bool:
        """Whether the server was asked for the body, which is what sends `100 Continue`."""
        return self._task is not None

    def stop(self) -> None:
        """End the task, where one runs: the answer is given, what else the client sends is of no interest."""
        if self._task is not None:
            self._task.cancel()


class StreamedFile(RawIOBase):
    """A body as Django's own request wants it, for forms of a project's pages."""

    def __init__(self, body: MemoryBody | StreamedBody) -> None:
        super().__init__()
        self._body = body

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """Read on. Raises OSError, which means to Django that the client has gone, where the body is cut off or too slow."""
        try:
            data = self._body.read(size)
            if size < 0 or len(data) < size:
                self._body.read(1)  # nothing, or the error that all there was is not all of it
            return data
        except (IncompleteBody, RequestTimeout) as error:
            raise OSError(str(error)) from error


async def send_while_open(send: Callable[[dict[str, Any]], Awaitable[None]], message: dict[str, Any]) -> None:
    """Send, or drop what there is nobody to send to, as uvicorn does a moment later.

    uvloop closes a connection whose client has ended it before uvicorn is told, and refuses to write to it.
    """
    try:
        await send(message)
    except RuntimeError as error:
        if not tells_of_closed(error):
            raise


def tells_of_closed(error: RuntimeError) -> bool:
    """Whether uvloop refused to write to a connection that it has closed."""
    return "handler is closed" in str(error)


def announced_body(headers: list[tuple[bytes, bytes]]) -> tuple[int | None, bool]:
    """Return Content-Length (0: no body; None: a body of unknown length), and whether the client waits for `100 Continue`."""
    length, chunked, expects_continue = b"0", False, False
    for name, value in headers:
        if name == b"content-length":
            length = value
        elif name == b"transfer-encoding":
            chunked = True
        elif name == b"expect":
            expects_continue = value.lower() == b"100-continue"
    return (int(length) if length.isdigit() and not chunked else None), expects_continue
