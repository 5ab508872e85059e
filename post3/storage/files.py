"""What the file system storage does with open files: write all, sync, copy, read a range piece by piece."""

import os
import threading
from collections.abc import Iterator

from .base import MIB, BlobMissing, StorageError

#: Bytes of the longest piece a reader is given.
PIECE = MIB


def write_all(file: int, data: bytes) -> None:
    """Write all of `data`: one `write` may take less, on a full disk or beyond 2 GiB. Raises OSError."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(file, rest) :]


def sync_data(file: int) -> None:
    """Have the file's bytes and its length on disk. Raises OSError."""
    # fdatasync leaves out the times, which nobody reads after a crash.
    getattr(os, "fdatasync", os.fsync)(file)


def copy_bytes(source: int, target: int, size: int) -> None:
    """Copy the first `size` bytes, by reference where the file system can, else in the kernel, else by hand. Raises OSError."""
    done = 0
    if hasattr(os, "copy_file_range"):
        try:
            while done < size and (count := os.copy_file_range(source, target, min(size - done, 1 << 30), done, done)):
                done += count
        except OSError:
            pass  # not on this file system; an error of the disk shows again below
    os.lseek(target, done, os.SEEK_SET)
    while done < size:
        piece = os.pread(source, min(MIB, size - done), done)
        if not piece:
            raise OSError(f"it ended after {done} of {size} bytes")
        write_all(target, piece)
        done += len(piece)


class FileReader:
    """The bytes of a range of an open file, which it closes at the end."""

    def __init__(self, file: int, path: str, start: int, length: int) -> None:
        self._path = path
        self._position, self._end = start, start + length
        # Guards the descriptor: one closed during a pread could by then be another file's.
        self._lock = threading.Lock()
        self._file = file

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        with self._lock:
            if self._file < 0 or self._position >= self._end:
                self._close()
                raise StopIteration
            try:
                piece = os.pread(self._file, min(PIECE, self._end - self._position), self._position)
            except OSError as error:
                self._close()
                raise StorageError(f"cannot read {self._path}: {error.strerror}") from error
            if not piece:
                self._close()
                raise BlobMissing(f"{self._path} ended after {self._position} of {self._end} bytes")
            self._position += len(piece)
            if self._position >= self._end:
                self._close()  # no later: whoever reads may not ask again once they have all they want
            return piece

    def close(self) -> None:
        """Close the file; no further piece comes."""
        with self._lock:
            self._close()

    def __del__(self) -> None:
        self._close()

    def _close(self) -> None:
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)
