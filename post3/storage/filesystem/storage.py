"""Store bytes as files: `<location>/<bucket>/<xx>/<percent-encoded key>.<unique id>`.

Some files have a description beside them, with the same name plus `.json`. `<location>/<bucket>/bucket.json` describes
the bucket. `xx` is the first two digits of the unique id, so each directory holds a 256th of its bucket. A key that is
too long for a file name is cut and ends in `~`; the sidecar contains the full key.

A file is written under `<location>/.tmp`, synced and renamed into place, and the directory is synced. A file under its
final name is therefore complete, and it survives a power failure once `save` has returned.

Directories stay when their last file is deleted: removing one would race with a save into it, and there are few.
Damaged files are moved to `<location>/.quarantine` under the same name.

No symbolic link below `location` is followed (`directories.py`).
"""

import os
import stat
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial

from ..base import PIECE, BlobMissing, BlobRef, StorageError, StoredName, Stream
from ..capabilities import Describing
from .direct import LargeFile
from .directories import DirectoryTree
from .files import FilePieces, copy_bytes, sync_data, write_all
from .names import BUCKET_DESCRIPTION, NAME, bucket_description, description_of, new_name
from .tree import QUARANTINE, TEMPORARY, find_described_buckets, walk_tree

OPEN_TO_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # opening a FIFO must not block
OPEN_TO_WRITE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


#: Written by `check`: more than a small object's file, its description and its part of the catalogue's log.
PROBE = bytes(64 << 10)


class FilesystemStorage(DirectoryTree, Describing):
    """One file per blob below the directory `location`, which is created if it is missing."""

    def new_name(self, hint: str) -> str:
        return new_name(hint)

    def save(self, ref: BlobRef, stream: Stream) -> int:
        with self._written_aside(ref.name) as file:
            large = LargeFile(file)
            # Reading is outside `_telling`: an OSError of the client's connection is not a storage error.
            while piece := stream.read(PIECE):
                with self._telling("write", ref.name):
                    large.write(piece)
            with self._telling("write", ref.name):
                large.finish()
        return large.size

    def open(self, ref: BlobRef, start: int, length: int) -> FilePieces:
        return FilePieces(partial(self._open_whole, ref.name, start + length), self._full_path(ref.name), start, length)

    def save_before_sidecar(self, ref: BlobRef, data: bytes) -> None:
        with self._written_aside(ref.name, sync_directory=False) as file, self._telling("write", ref.name):
            write_all(file, data)

    def has_place(self, hint: str) -> bool:
        return hint.partition("/")[0] in self._handles

    def copy(self, source: BlobRef, target: BlobRef) -> int:
        file = self._open_whole(source.name, source.size)
        try:
            with self._written_aside(target.name) as copy, self._telling("copy", source.name):
                copy_bytes(file, copy, source.size)
        finally:
            os.close(file)
        return source.size

    def delete(self, ref: BlobRef) -> None:
        self._delete(ref.name)

    def write_sidecar(self, name: str, document: bytes) -> None:
        self._write_small(description_of(name), document)

    def read_sidecar(self, name: str) -> bytes:
        return self._read_small(description_of(name))

    def delete_sidecar(self, name: str, durable: bool = True) -> None:
        self._delete(description_of(name), durable)

    def write_bucket_sidecar(self, bucket: str, document: bytes) -> None:
        self._write_small(bucket_description(bucket), document)

    def read_bucket_sidecar(self, bucket: str) -> bytes:
        return self._read_small(bucket_description(bucket))

    def delete_bucket_sidecar(self, bucket: str) -> None:
        self._delete(bucket_description(bucket))

    def described_buckets(self) -> Iterator[str]:
        with self._telling("list", ""):
            yield from find_described_buckets(self.location)

    def walk(self) -> Iterator[StoredName]:
        with self._telling("list", ""):
            yield from walk_tree(self.location)

    def measure(self, refs: Sequence[BlobRef]) -> list[int | None]:
        return [status.st_size if (status := self._status(ref.name)) else None for ref in refs]

    def quarantine(self, ref: BlobRef) -> None:
        steps, file_name = self._split(ref.name)
        with self._telling("quarantine", ref.name), suppress(FileNotFoundError):
            directory = self._open_directory(*steps)
            try:
                aside = self._open_directory(QUARANTINE, *steps, make=True)
                try:
                    os.rename(file_name, file_name, src_dir_fd=directory, dst_dir_fd=aside)
                    os.fsync(aside)
                    os.fsync(directory)
                finally:
                    os.close(aside)
            finally:
                os.close(directory)

    def _status(self, name: str) -> os.stat_result | None:
        """Return the status of a regular file; None if it is missing or not a regular file."""
        steps, file_name = self._split(name)
        with self._telling("examine", name), suppress(FileNotFoundError):
            directory = self._open_directory(*steps)
            try:
                status = os.stat(file_name, dir_fd=directory, follow_symlinks=False)
            finally:
                os.close(directory)
            return status if stat.S_ISREG(status.st_mode) else None
        return None

    def check(self) -> None:
        with self._telling("write to", TEMPORARY):
            name, directory = uuid.uuid4().hex, self._open_directory(TEMPORARY, make=True)
            try:
                file = os.open(name, OPEN_TO_WRITE, self._file_mode, dir_fd=directory)
                try:
                    write_all(file, PROBE)
                finally:
                    os.close(file)
                    os.unlink(name, dir_fd=directory)
            finally:
                os.close(directory)

    def sweep(self, older_than: float) -> int:
        """Delete files under `.tmp` last written `older_than` seconds ago; choose more than an upload may stall."""
        swept, limit = 0, time.time() - older_than
        with self._telling("sweep", TEMPORARY):
            directory = self._open_directory(TEMPORARY, make=True)
            try:
                for name in os.listdir(directory):
                    with suppress(FileNotFoundError):  # its owner removed or renamed it first
                        if os.stat(name, dir_fd=directory, follow_symlinks=False).st_mtime <= limit:
                            os.unlink(name, dir_fd=directory)
                            swept += 1
            finally:
                os.close(directory)
        return swept

    def _write_small(self, name: str, data: bytes) -> None:
        """Durably write a whole file."""
        with self._written_aside(name) as file, self._telling("write", name):
            write_all(file, data)

    def _read_small(self, name: str) -> bytes:
        """Read a whole file. Raises BlobMissing if it is missing or not a regular file."""
        file = self._open_file(name)
        with os.fdopen(file, "rb") as opened:
            self._check_size(file, name, 0)
            with self._telling("read", name):
                return opened.read()

    @contextmanager
    def _written_aside(self, name: str, sync_directory: bool = True) -> Iterator[int]:
        """Yield a file open for writing. Afterwards make it durable under `name`, or leave nothing if anything raised.

        Without `sync_directory` only its bytes are durable; its name becomes durable with the directory's next sync.
        """
        steps, file_name = self._split(name)
        temporary = file_name if steps[1:] else uuid.uuid4().hex  # descriptions of all buckets have the same file name
        with self._telling("create a file for", name):
            aside = self._open_directory(TEMPORARY, make=True)
            try:
                file = os.open(temporary, OPEN_TO_WRITE, self._file_mode, dir_fd=aside)
            except BaseException:
                os.close(aside)
                raise
        try:
            try:
                yield file
                with self._telling("sync", name):
                    sync_data(file)
            finally:
                os.close(file)
            with self._telling("rename a file to", name):
                directory = self._open_directory(*steps, make=True)
                try:
                    os.rename(temporary, file_name, src_dir_fd=aside, dst_dir_fd=directory)
                    try:
                        if sync_directory:
                            os.fsync(directory)
                    except BaseException:
                        os.unlink(file_name, dir_fd=directory)
                        raise
                finally:
                    os.close(directory)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=aside)
            raise
        finally:
            os.close(aside)

    def _open_whole(self, name: str, size: int) -> int:
        """Open a file of at least `size` bytes for reading. Raises BlobMissing if it is missing or shorter."""
        file = self._open_file(name)
        try:
            self._check_size(file, name, size)
        except BaseException:
            os.close(file)
            raise
        return file

    def _open_file(self, name: str) -> int:
        """Open a file for reading. Raises BlobMissing if it is missing."""
        steps, file_name = self._split(name)
        with self._telling("open", name):
            try:
                directory = self._open_directory(*steps)
                try:
                    return os.open(file_name, OPEN_TO_READ, dir_fd=directory)
                finally:
                    os.close(directory)
            except FileNotFoundError:
                raise BlobMissing(f"{self._full_path(name)} is missing") from None

    def _check_size(self, file: int, name: str, size: int) -> None:
        """Raise BlobMissing unless the file is a regular file of at least `size` bytes."""
        with self._telling("examine", name):
            status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            raise BlobMissing(f"{self._full_path(name)} is not a plain file")
        if status.st_size < size:
            raise BlobMissing(f"{self._full_path(name)} has {status.st_size} bytes of at least {size}")

    def _delete(self, name: str, durable: bool = True) -> None:
        """Delete a file. Without `durable`, a power failure can bring it back after the catalogue has forgotten it."""
        steps, file_name = self._split(name)
        with self._telling("delete", name), suppress(FileNotFoundError):
            directory = self._open_directory(*steps)
            try:
                os.unlink(file_name, dir_fd=directory)
                if durable:
                    os.fsync(directory)
            finally:
                os.close(directory)

    def _split(self, name: str) -> tuple[list[str], str]:
        """Return directories and file name. Raises StorageError for a name this storage would not create."""
        if not NAME.fullmatch(name) and not BUCKET_DESCRIPTION.fullmatch(name):
            raise StorageError(f"{name!r} is not the name of a file in {self.location}")
        *steps, file_name = name.split("/")
        return steps, file_name
