"""Reading ahead on a thread of its own, so that receiving and hashing a body overlaps saving it.

Both let go of Python's lock: hashing takes 1.9 ms a MiB, saving 3 ms, and one after the other they are slower than either limit.
"""

import threading
from collections import deque
from types import TracebackType
from typing import Protocol, Self

from .parking import PARK_AFTER, parked

#: Bytes of one piece, and pieces that are read ahead at most.
PIECE, AHEAD = 1 << 20, 2


class Stream(Protocol):
    """A stream of bytes: `read(n)` returns at most n of them, `b""` at the end."""

    def read(self, size: int = -1, /) -> bytes: ...


class ReadAhead:
    """A stream over a stream that a thread reads ahead of its reader. Errors of the inner stream reach the reader."""

    def __init__(self, inner: Stream) -> None:
        self._inner = inner
        self._pieces: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._ended = self._stopped = False
        self._error: BaseException | None = None
        self._rest = b""
        self._thread = threading.Thread(target=self._fill, name="post3-read-ahead", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Let the thread end. It is not waited for: it may wait for a client, up to that one's time limit."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes, `b""` at the end; raise what the inner stream raised."""
        piece = self._rest or self._next()
        size = len(piece) if size < 0 else size
        self._rest = piece[size:]
        return piece[:size] if self._rest else piece

    def _next(self) -> bytes:
        if not self._wait(PARK_AFTER):
            with parked():
                self._wait(None)
        with self._changed:
            if self._pieces:
                self._changed.notify_all()
                return self._pieces.popleft()
            if self._error is not None:
                raise self._error
            return b""

    def _wait(self, seconds: float | None) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self._pieces or self._ended, seconds)

    def _fill(self) -> None:
        error: BaseException | None = None
        try:
            while (piece := self._inner.read(PIECE)) and self._hand_over(piece):
                pass
        except BaseException as raised:
            error = raised
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def _hand_over(self, piece: bytes) -> bool:
        """Wait for room and put the piece there. Return False where nobody wants it any more."""
        with self._changed:
            while len(self._pieces) >= AHEAD and not self._stopped:
                self._changed.wait()
            self._pieces.append(piece)
            self._changed.notify_all()
            return not self._stopped
