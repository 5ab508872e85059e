"""Request bodies under ASGI, as blocking, file-like objects with bounded buffering and back-pressure.

ASGI servers report an interrupted upload only as `http.disconnect`. Here it raises IncompleteBody, so that a body
shorter than announced never becomes an object.
"""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from io import RawIOBase
from typing import Any

from ..conf import conf
from ..errors import IncompleteBody, RequestTimeout
from ..threads.parking import PARK_AFTER, parked

Receive = Callable[[], Awaitable[dict[str, Any]]]

#: Maximum number of bytes buffered ahead of the reader (plus one message from the server).
BUFFER_SIZE = 4 * 1024 * 1024
#: Bytes that must arrive in POST3_BODY_TIMEOUT seconds. Otherwise a client that sends a byte now and then could hold a
#: thread's stack, or memory, indefinitely.
PROGRESS = 16 * 1024


class Patience:
    """The time spent waiting for a body since its sender last made progress. The receiver's own time does not count."""

    def __init__(self) -> None:
        self._timeout: float = conf.BODY_TIMEOUT or float("inf")
        self._waited, self._received = 0.0, 0

    @property
    def left(self) -> float | None:
        """The seconds left to wait, or None if there is no limit."""
        return None if self._timeout == float("inf") else max(0.0, self._timeout - self._waited)

    def spend(self, seconds: float, received: int) -> bool:
        """Record the time waited and the total number of bytes received. Return whether any time is left."""
        self._waited += seconds
        if received - self._received >= PROGRESS:
            self._waited, self._received = 0.0, received
        return self._waited < self._timeout


async def gone(receive: Receive) -> None:
    """Wait until the client has disconnected."""
    while (await receive())["type"] != "http.disconnect":
        pass


def is_disconnected(receive: Receive) -> bool:
    """Whether uvicorn has noticed that the client has disconnected. It then drops what is sent, without an error."""
    return bool(getattr(getattr(receive, "__self__", None), "disconnected", False))


class MemoryBody:
    """A small body that has already been read."""

    __slots__ = ("_data", "_late", "_position", "_whole")
    begun = True

    def __init__(self, data: bytes, whole: bool, late: bool = False) -> None:
        self._data, self._position, self._whole, self._late = data, 0, whole, late

    @classmethod
    async def receive(cls, receive: Receive, length: int, expects_continue: bool) -> "MemoryBody":
        """Read a body of `length` bytes. An empty body is not requested from the server.

        A client that waits for `100 Continue` gets it even for an empty body. If it got a final response instead,
        botocore would treat the connection as broken and hang on the next one (`AWSConnection.response_class`).
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
        """Do nothing: there is no task to stop."""


class StreamedBody:
    """A body that is read as it arrives: a large one, or one whose client waits for `100 Continue`.

    The first `read` starts a task on the event loop that fills a bounded buffer, and a worker thread empties it. The
    task must not start earlier: requesting the body from the server sends `100 Continue`, and a request that is refused
    by its headers, including its signature, must not invite the body.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, receive: Receive) -> None:
        self._loop, self._receive = loop, receive
        self._pieces: deque[bytes] = deque()
        #: The number of bytes buffered, and the number that the reader waits for.
        self._buffered = self._wanted = 0
        #: The number of bytes received so far.
        self.received = 0
        self._patience: Patience | None = None
        self._ended = self._cut = False
        self._filled = threading.Condition()
        self._room = asyncio.Event()
        self._task: Any = None

    def read(self, size: int = -1, /) -> bytes:
        """Return exactly `size` bytes, or fewer at the end. Raises IncompleteBody, RequestTimeout."""
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
        """Wait for `count` bytes or the end. During a long wait, the thread's place is given to another thread."""
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
                if self._buffered >= self._wanted:  # waking the thread for less would only cause contention for the GIL
                    self._filled.notify()
            full = self._buffered >= BUFFER_SIZE
            if full:
                self._room.clear()
            return full

    @property
    def begun(self) -> bool:
        """Whether the body was requested from the server, which sends `100 Continue`."""
        return self._task is not None

    def stop(self) -> None:
        """Cancel the task if one is running. The response is complete, so the rest of the body is not needed."""
        if self._task is not None:
            self._task.cancel()


class StreamedFile(RawIOBase):
    """A body in the form that Django's request expects, for the forms of a project's own pages."""

    def __init__(self, body: MemoryBody | StreamedBody) -> None:
        super().__init__()
        self._body = body

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes. Raises OSError, as for a lost client, if the body is interrupted or too slow."""
        try:
            data = self._body.read(size)
            if size < 0 or len(data) < size:
                self._body.read(1)  # returns nothing, or raises if the body is incomplete
            return data
        except (IncompleteBody, RequestTimeout) as error:
            raise OSError(str(error)) from error


async def send_while_open(send: Callable[[dict[str, Any]], Awaitable[None]], message: dict[str, Any]) -> None:
    """Send a message, or drop it if the connection is closed, as uvicorn does a moment later.

    When a client ends a connection, uvloop closes it and refuses further writes before uvicorn is notified.
    """
    try:
        await send(message)
    except RuntimeError as error:
        if not tells_of_closed(error):
            raise


def tells_of_closed(error: RuntimeError) -> bool:
    """Whether uvloop refused to write to a connection that it had closed."""
    return "handler is closed" in str(error)


def announced_body(headers: Iterable[tuple[bytes, bytes]]) -> tuple[int | None, bool]:
    """Return the body's length (0: no body; None: unknown), and whether the client waits for `100 Continue`."""
    length, chunked, expects_continue = b"0", False, False
    for name, value in headers:
        if name == b"content-length":
            length = value
        elif name == b"transfer-encoding":
            chunked = True
        elif name == b"expect":
            expects_continue = value.lower() == b"100-continue"
    return (int(length) if length.isdigit() and not chunked else None), expects_continue
