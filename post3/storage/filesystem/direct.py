"""Writing a large file past the system's page cache.

Through the cache each byte is copied once more, into pages that the system must find and clear first: half of all a server
does for an upload of 64 MiB (docs/performance.md). Such bytes are rarely read again soon, and would push out what is. They are
written in whole blocks from memory that the disk can take them from, and the odd rest as usual. A file system that cannot do that
(some of networks and in memory) gets all of it as usual.
"""

import errno
import mmap
import os
from collections import deque

from ..base import MIB
from .files import begin_flush, write_all

try:
    from fcntl import F_GETFL, F_SETFL, fcntl
except ImportError:  # not a Unix
    fcntl = None  # type: ignore[assignment]

#: Bytes written at once; a multiple of every disk's own block.
BLOCK = MIB
#: Bytes after which the disk is set to work, while the next ones come in, where they go through the cache.
FLUSH = 8 * MIB
#: Blocks of memory kept for the next writer, at most. One is needed for as long as a write takes, not for as long as an upload.
_KEPT = 8

_buffers: deque[mmap.mmap] = deque(maxlen=_KEPT)


class LargeFile:
    """A new file, open for writing, that bytes are appended to. All methods raise OSError."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._held: list[bytes] = []
        self._held_size = self._flushed = 0
        #: None: not tried yet.
        self._direct: bool | None = None
        #: Bytes written.
        self.size = 0

    def write(self, data: bytes) -> None:
        """Append bytes; up to a block of them wait for the next ones, or `finish`."""
        if self._direct is False:
            self._write_cached(data)
            return
        self._held.append(data)
        self._held_size += len(data)
        if self._held_size >= BLOCK:
            self._write_blocks()

    def finish(self) -> None:
        """Write what waits."""
        held, self._held, self._held_size = b"".join(self._held), [], 0
        if held:
            self._leave_direct()
            self._write_cached(held)

    def _write_blocks(self) -> None:
        if self._direct is None:
            self._direct = _set_direct(self._file, True)
        held = memoryview(self._held[0] if len(self._held) == 1 else b"".join(self._held))
        done = 0
        while self._direct and len(held) - done >= BLOCK:
            done += self._write_block(held[done : done + BLOCK])
        self._held, self._held_size = [], 0
        rest = bytes(held[done:])
        if rest:
            self.write(rest)

    def _write_block(self, data: memoryview) -> int:
        """Write a block past the cache; return how many of its bytes went, fewer where that is not possible after all."""
        try:
            buffer = _buffers.pop()
        except IndexError:
            buffer = mmap.mmap(-1, BLOCK)  # begins at a page, as the disk wants it
        try:
            buffer[:] = data
            written = os.write(self._file, buffer)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            written = 0
        finally:
            _buffers.append(buffer)
        self.size += written
        if written < BLOCK:  # not here; or the disk is full, which writing the rest as usual will tell
            self._leave_direct()
        return written

    def _leave_direct(self) -> None:
        if self._direct:
            _set_direct(self._file, False)
        self._direct, self._flushed = False, self.size

    def _write_cached(self, data: bytes) -> None:
        write_all(self._file, data)
        self.size += len(data)
        if self.size - self._flushed >= FLUSH:
            begin_flush(self._file, self._flushed, self.size - self._flushed)
            self._flushed = self.size


def _set_direct(file: int, wanted: bool) -> bool:
    """Have an open file written past the cache, or not; return whether it is."""
    flag = getattr(os, "O_DIRECT", 0)
    if not flag or fcntl is None:
        return False
    flags = fcntl(file, F_GETFL)
    try:
        fcntl(file, F_SETFL, flags | flag if wanted else flags & ~flag)
    except OSError:
        return not wanted
    return wanted
