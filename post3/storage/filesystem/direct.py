"""Write a large file past the system's page cache.

Through the cache each byte is copied once more, into pages that the system must find and clear first. That is half of a
server's work for an upload of 64 MiB (docs/performance.md). Such bytes are rarely read again soon, and would displace
bytes that are. They are therefore written in whole blocks from memory that the disk can read directly; the remainder is
written normally. If a file system does not support this (some network and in-memory ones), all bytes are written
normally.
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

#: Bytes per write; a multiple of every disk's own block size.
BLOCK = MIB
#: When writing through the cache: bytes after which a flush to disk starts while the next bytes arrive.
FLUSH = 8 * MIB
#: Maximum blocks of memory kept for reuse. A block is needed for the duration of one write, not of a whole upload.
_KEPT = 8

_buffers: deque[mmap.mmap] = deque(maxlen=_KEPT)


class LargeFile:
    """A new file, open for writing, to which bytes are appended. All methods raise OSError."""

    def __init__(self, file: int) -> None:
        self._file = file
        self._held: list[bytes] = []
        self._held_size = self._flushed = 0
        #: Whether blocks are written past the cache; None: not tried yet.
        self._direct: bool | None = None
        #: Bytes written.
        self.size = 0

    def write(self, data: bytes) -> None:
        """Append bytes; less than a block of them is held until the next call or `finish`."""
        if self._direct is False:
            self._write_cached(data)
            return
        self._held.append(data)
        self._held_size += len(data)
        if self._held_size >= BLOCK:
            self._write_blocks()

    def finish(self) -> None:
        """Write the bytes that are still held."""
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
        """Write a block past the cache; return the count of bytes written, fewer if it turns out to be impossible."""
        try:
            buffer = _buffers.pop()
        except IndexError:
            buffer = mmap.mmap(-1, BLOCK)  # page-aligned, as the disk requires
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
        if written < BLOCK:  # not supported; or the disk is full, and writing the rest normally will raise
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
    """Switch writing past the cache on or off for an open file; return whether it is on."""
    flag = getattr(os, "O_DIRECT", 0)
    if not flag or fcntl is None:
        return False
    flags = fcntl(file, F_GETFL)
    try:
        fcntl(file, F_SETFL, flags | flag if wanted else flags & ~flag)
    except OSError:
        return not wanted
    return wanted
