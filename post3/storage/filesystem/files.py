"""Operations on open files for the file system storage: write, sync, copy, and read a range piece by piece."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from ..base import FIRST_PIECE, LONG, MIB, PIECE, BlobMissing, Pieces, StorageError


def write_all(file: int, data: bytes) -> None:
    """Write all of `data`: a single `write` may accept less, on a full disk or beyond 2 GiB. Raises OSError."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def sync_data(file: int) -> None:
    """Flush the file's bytes and its length to disk. Raises OSError."""
    # fdatasync skips the timestamps, which are not needed after a crash.
    getattr(os, "fdatasync", os.fsync)(file)


def begin_flush(file: int, start: int, length: int) -> None:
    """Make the system start writing these bytes to disk, without waiting.

    Otherwise writing starts with the sync at the end: 64 MiB then took 1.35 times as long. On Linux, the advice "not
    needed" starts it, and drops pages that are already on disk. Systems that treat the advice differently lose nothing.
    """
    if hasattr(os, "posix_fadvise"):
        with suppress(OSError):
            os.posix_fadvise(file, start, length, os.POSIX_FADV_DONTNEED)


def copy_bytes(source: int, target: int, size: int) -> None:
    """Copy the first `size` bytes: by reference if the file system can, else in the kernel, else with reads and writes.

    Raises OSError.
    """
    done = 0
    if hasattr(os, "copy_file_range"):
        try:
            while done < size and (count := os.copy_file_range(source, target, min(size - done, 1 << 30), done, done)):
                done += count
        except OSError:
            pass  # not supported by this file system; a disk error occurs again below
    os.lseek(target, done, os.SEEK_SET)
    while done < size:
        piece = os.pread(source, min(MIB, size - done), done)
        if not piece:
            raise OSError(f"it ended after {done} of {size} bytes")
        write_all(target, piece)
        done += len(piece)


class FilePieces(Pieces):
    """The bytes of a range of a file. The file is opened on first use and closed when all bytes are read."""

    def __init__(self, open_file: Callable[[], int], path: str, start: int, length: int) -> None:
        self._open_file, self._path = open_file, path
        self._start = self._position = start
        self._end = start + length
        # Guards the descriptor: if it were closed during a pread, its number could already belong to another file.
        self._lock = threading.Lock()
        self._file, self._reading = -1, 0

    def ensure_readable(self) -> None:
        with self._lock:
            self._file = self._open_file()

    def reserve(self, most: int = PIECE) -> Callable[[], bytes] | None:
        with self._lock:
            if self._position >= self._end:
                return None
            if self._position == self._start and self._end - self._start > LONG:
                most = min(most, FIRST_PIECE)
            position, wanted = self._position, min(most, self._end - self._position)
            self._position += wanted
            self._reading += 1
            return partial(self._read, position, wanted)

    def close(self) -> None:
        with self._lock:
            self._position = self._end
            self._close_if_done()

    def __del__(self) -> None:
        self._reading, self._position = 0, self._end
        self._close_if_done()

    def _read(self, position: int, wanted: int) -> bytes:
        try:
            with self._lock:
                if self._file < 0:
                    self._file = self._open_file()
            return self._read_all(position, wanted)
        finally:
            with self._lock:
                self._reading -= 1
                self._close_if_done()

    def _read_all(self, position: int, wanted: int) -> bytes:
        try:
            data = piece = os.pread(self._file, wanted, position)
            while piece and len(data) < wanted:
                piece = os.pread(self._file, wanted - len(data), position + len(data))
                data += piece
        except OSError as error:
            raise StorageError(f"cannot read {self._path}: {error.strerror}") from error
        if len(data) < wanted:
            raise BlobMissing(f"{self._path} ended after {position + len(data)} of {self._end} bytes")
        return data

    def _close_if_done(self, close: Callable[[int], None] = os.close) -> None:
        """Close the file if nothing is left to read. `close` is bound early, because at exit `os` may be None."""
        if self._file >= 0 and self._reading <= 0 and self._position >= self._end:
            file, self._file = self._file, -1
            close(file)
