"""Storages that implement the five verbs and nothing else: what tests show to work with them works with any storage.

`settings.py` beside this module lets a server use them.
"""

import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from post3.storage.base import PIECE, BlobMissing, BlobRef, Pieces, RangePieces, Storage, StoredName, Stream

#: A body that begins with these bytes kills the process that saves it (`DyingStorage`).
DEADLY = b"deadly"


class PlainStorage(Storage):
    """One file per blob in a single directory."""

    def __init__(self, storage_class: str, location: str | os.PathLike[str], **options: Any) -> None:
        super().__init__(storage_class, **options)
        self.directory = Path(location)
        self.directory.mkdir(parents=True, exist_ok=True)

    def save(self, ref: BlobRef, stream: Stream) -> int:
        size, path = 0, self.path(ref)
        try:
            with open(path, "xb") as file:
                while piece := stream.read(PIECE):
                    size += file.write(piece)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return size

    def open(self, ref: BlobRef, start: int, length: int) -> Pieces:
        return RangePieces(partial(self._read, ref), start, length)

    def copy(self, source: BlobRef, target: BlobRef) -> int:
        data = self._read(source, 0, source.size)
        if len(data) < source.size:
            raise BlobMissing(f"{source.name} has {len(data)} of {source.size} bytes")
        return self.path(target).write_bytes(data)

    def delete(self, ref: BlobRef) -> None:
        self.path(ref).unlink(missing_ok=True)

    def walk(self) -> Iterator[StoredName]:
        for entry in os.scandir(self.directory):
            status = entry.stat()
            yield StoredName(0, entry.name, status.st_size, status.st_mtime)

    def path(self, ref: BlobRef) -> Path:
        return self.directory / ref.name

    def _read(self, ref: BlobRef, position: int, size: int) -> bytes:
        try:
            with open(self.path(ref), "rb") as file:
                return os.pread(file.fileno(), size, position)
        except FileNotFoundError:
            raise BlobMissing(f"{ref.name} is missing") from None


class CarefulStorage(PlainStorage):
    """A storage whose bodies all have a pending row before their bytes."""

    pending_row_first = True


class DyingStorage(CarefulStorage):
    """A storage that dies with its process in the middle of a save."""

    def save(self, ref: BlobRef, stream: Stream) -> int:
        return super().save(ref, _Dying(stream))


class SlowStorage(PlainStorage):
    """A storage that answers each read after `latency` seconds."""

    def __init__(self, storage_class: str, location: str | os.PathLike[str], latency: float) -> None:
        super().__init__(storage_class, location)
        self._latency = latency

    def _read(self, ref: BlobRef, position: int, size: int) -> bytes:
        time.sleep(self._latency)
        return super()._read(ref, position, size)


class _Dying:
    """A stream that kills the process at its end if it began with DEADLY."""

    def __init__(self, stream: Stream) -> None:
        self._stream, self._deadly = stream, False

    def read(self, size: int = -1, /) -> bytes:
        data = self._stream.read(size)
        self._deadly |= data.startswith(DEADLY)
        if not data and self._deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return data
