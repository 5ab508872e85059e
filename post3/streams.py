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

from .errors import IncompleteBody, RequestTimeout
from .parking import PATIENCE, parked

Receive = Callable[[], Awaitable[dict[str, Any]]]

#: Bytes of a body buffered ahead of its reader, at most (plus one message of the server's).
BUFFER_SIZE = 4 * 1024 * 1024
#: Seconds without a byte after which a sender is given up.
READ_TIMEOUT = 60.0


async def gone(receive: Receive) -> None:
    """Return when the client has gone away."""
    while (await receive())["type"] != "http.disconnect":
        pass


class MemoryBody:
    """A small body, read already."""

    __slots__ = ("_data", "_position", "_whole")
    begun = True

    def __init__(self, data: bytes, whole: bool) -> None:
        self._data, self._position, self._whole = data, 0, whole

    @classmethod
    async def receive(cls, receive: Receive, length: int, expects_continue: bool) -> "MemoryBody":
        """Read a body of that many bytes; nothing is asked of the server where there is none.

        But a client that waits for `100 Continue` gets it even for no bytes: botocore takes a connection on which a final
        answer came instead for broken from then on, and hangs on the next one (`AWSConnection.response_class`).
        """
        if length == 0 and not expects_continue:
            return cls(b"", True)
        pieces: list[bytes] = []
        try:
            async with asyncio.timeout(READ_TIMEOUT):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return cls(b"".join(pieces), False)
                    pieces.append(message.get("body", b""))
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            return cls(b"".join(pieces), False)
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        return cls(data, len(data) == length)

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
            raise IncompleteBody()
        return data

    def stop(self) -> None:
        """Nothing runs that would have to be stopped."""


class StreamedBody:
    """A large body. A task on the event loop, begun with the first `read`, fills a bounded buffer; a worker thread empties it.

    Beginning only then matters: asking the server for the body is what sends `100 Continue`, and a request refused by its
    headers must not invite gigabytes.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, receive: Receive) -> None:
        self._loop, self._receive = loop, receive
        self._pieces: deque[bytes] = deque()
        #: Bytes buffered, and how many the reader waits for.
        self._buffered = self._wanted = 0
        #: Bytes that came by now.
        self.received = 0
        self._arrived = 0.0
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
        self._wanted = count
        if self._filled.wait_for(lambda: self._ended or self._buffered >= count, PATIENCE):
            return
        self._filled.release()
        try:
            with parked():
                self._wait_patiently(count)
        finally:
            self._filled.acquire()

    def _wait_patiently(self, count: int) -> None:
        began = time.monotonic()
        with self._filled:
            while not self._ended and self._buffered < count:
                left = max(began, self._arrived) + READ_TIMEOUT - time.monotonic()
                if left <= 0:
                    raise RequestTimeout()
                self._filled.wait(left)

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
                self._arrived = time.monotonic()
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
    """A body as Django's own request wants it, for the console's forms."""

    def __init__(self, body: MemoryBody | StreamedBody) -> None:
        super().__init__()
        self._body = body

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._body.read(size)


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
