"""The storage interface: a storage saves, opens, copies, deletes and lists named byte strings.

A storage knows nothing of versions or S3. The catalogue creates a row for each blob, gives the storage a `BlobRef` to
it, and publishes the saved bytes with its own commit. Saving writes the bytes first and the catalogue second; deleting
changes the catalogue first. A storage therefore never has to hide or publish anything. Its bytes must be complete when
`save` returns and durable once the catalogue's commit is, and it must be able to delete the remains of a crash.
Optional capabilities are in `capabilities.py`.
"""

import errno
import logging
import sqlite3
import uuid
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

logger = logging.getLogger(__name__)

KIB, MIB = 1 << 10, 1 << 20
#: The codes for a full disk: PostgreSQL's SQLSTATE, then SQLite's for the database, its log, and the log's index.
DISK_FULL = "53100"
SQLITE_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_SHMMAP)


class Stream(Protocol):
    """The input of a save: `read(n)` returns at most n bytes, `b""` at the end, and raises if the body is truncated."""

    def read(self, size: int = -1, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class BlobRef:
    """The data a storage needs to find one blob."""

    #: The blob's id in the catalogue.
    id: int
    #: The storage's own name for the blob, as returned by `new_name`.
    name: str
    #: Size in bytes; 0 while the blob is being saved.
    size: int
    #: Bytes per block; 0 if the blob has no blocks.
    block_size: int


@dataclass(frozen=True, slots=True)
class StoredName:
    """One name in a storage, as found by `Storage.walk`."""

    #: The blob's id; 0 if the blob is identified by its name.
    id: int
    #: The name of the blob, or the name under which the description was written; empty if the id identifies the blob.
    name: str
    #: Size in bytes.
    size: int
    #: Time of the last write in seconds since the epoch; 0 if the storage does not know it.
    written_at: float
    #: Whether it is a description.
    is_description: bool = False
    #: Whether the storage cannot have created it, as with a file whose name has another form; `name` is then its path.
    is_foreign: bool = False


class StorageError(Exception):
    """A storage operation failed (disk full, directory missing, I/O error). The message says what failed and where."""


def is_full(error: BaseException) -> bool:
    """Whether an error means that space has run out: on a file system, in PostgreSQL or in SQLite."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if getattr(seen, "sqlstate", None) == DISK_FULL or getattr(seen, "sqlite_errorcode", None) in SQLITE_FULL:
            return True
        seen = seen.__cause__
    return False


class BlobDamaged(StorageError):
    """The bytes differ from those that were stored. Retrying does not help."""


class BlobMissing(BlobDamaged):
    """The bytes are missing, or there are fewer than the catalogue records."""


#: Maximum bytes of a piece given to a reader or requested from a stream.
PIECE = MIB
#: Bytes of the first piece of a range longer than `LONG`: a slow reader can be recognized only after that piece.
FIRST_PIECE, LONG = 256 * KIB, 8 * MIB


class Pieces(Iterator[bytes]):
    """The bytes of a range in pieces of at most `PIECE` bytes. Iteration reads each piece on demand."""

    @property
    def uses_connection(self) -> bool:
        """Whether reading a piece takes the reading thread's database connection. Only few threads may have one."""
        return False

    @abstractmethod
    def ensure_readable(self) -> None:
        """Verify that the bytes exist. Raises BlobMissing, StorageError."""
        raise NotImplementedError

    @abstractmethod
    def reserve(self, most: int = PIECE) -> Callable[[], bytes] | None:
        """Return a function that reads the next piece of at most `most` bytes; None after the last. Does no I/O itself.

        The first piece may be longer than `most` if `ensure_readable` read it. Different threads may read several
        reserved pieces at the same time. The functions raise BlobMissing, StorageError.
        """
        raise NotImplementedError

    def all_read(self) -> bytes | None:
        """Return all bytes, if `ensure_readable` has read them. They need no thread to read them and no pieces."""
        return None

    @abstractmethod
    def close(self) -> None:
        """Release open resources. Pieces reserved earlier can still be read."""
        raise NotImplementedError

    def __next__(self) -> bytes:
        read = self.reserve()
        if read is None:
            raise StopIteration
        return read()


class RangePieces(Pieces):
    """Pieces of a storage that reads any range with one call: `read(position, size)` returns that many bytes.

    `read` is called by several threads at the same time. It raises BlobMissing if there are no bytes, even for a size
    of 0, and StorageError. If it returns fewer bytes than requested, the reader gets BlobMissing.
    """

    def __init__(self, read: Callable[[int, int], bytes], start: int, length: int) -> None:
        self._read, self._position, self._end = read, start, start + length
        self._first: bytes | None = None

    def ensure_readable(self) -> None:
        """Read the first piece, so that missing bytes cause an error and not an interrupted response."""
        read = self.reserve(FIRST_PIECE if self._end - self._position > LONG else PIECE)
        if read is None:
            self._read(self._position, 0)
        else:
            self._first = read()

    def reserve(self, most: int = PIECE) -> Callable[[], bytes] | None:
        if self._first is not None:
            first, self._first = self._first, None
            return lambda: first
        if self._position >= self._end:
            return None
        position = self._position
        size = self._piece_size(position, min(most, self._end - position))
        self._position += size
        return partial(self._read_whole, position, size)

    def all_read(self) -> bytes | None:
        return self._first if self._position >= self._end else None

    def close(self) -> None:
        """Stop returning pieces. There is nothing to release."""
        self._position, self._first = self._end, None

    def _piece_size(self, position: int, most: int) -> int:
        """Return the size of the piece at `position`, from 1 to `most` bytes."""
        return most

    def _read_whole(self, position: int, size: int) -> bytes:
        data = self._read(position, size)
        if len(data) != size:
            raise BlobMissing(f"the blob ended after {position + len(data)} of {self._end} bytes")
        return data


# Not an ABC, because `isinstance` is several times slower for these, and each request asks for capabilities. A system
# check finds the abstract methods that a storage does not implement.
class Storage:
    """The interface of every storage: five verbs, and methods whose defaults a storage can replace by better ones.

    Every implementation must pass the suite in `tests/storage/`. Instances are shared by all threads of a process.
    """

    #: Whether even a small body gets its row in the catalogue, as a pending blob, before its bytes are saved. If a
    #: process dies in between, the worker then finds and deletes the bytes. Otherwise only `check_storage` finds them,
    #: by walking the whole storage. The row costs a small body one more commit (D5, D91). Large bodies always have it.
    pending_row_first = False

    def __init__(self, storage_class: str, **options: Any) -> None:
        self.storage_class = storage_class

    # The five verbs.

    @abstractmethod
    def save(self, ref: BlobRef, stream: Stream) -> int:
        """Save all bytes of `stream` under `ref`; return their count.

        The bytes are durable on return or, if they are in the catalogue's database, after its next commit. If the
        stream raises, leaves nothing behind and propagates the exception. Raises StorageError.
        """
        raise NotImplementedError

    @abstractmethod
    def open(self, ref: BlobRef, start: int, length: int) -> Pieces:
        """Return the `length` bytes from `start` (both within the blob) in pieces.

        Does no I/O and does not check that the bytes exist: `Pieces.ensure_readable` does.
        """
        raise NotImplementedError

    @abstractmethod
    def copy(self, source: BlobRef, target: BlobRef) -> int:
        """Copy the bytes of `source` to `target`, both in this storage; return their count. Durable as after `save`.

        Raises BlobMissing, StorageError, and then leaves nothing under `target`.
        """
        raise NotImplementedError

    @abstractmethod
    def delete(self, ref: BlobRef) -> None:
        """Delete the bytes under `ref`, complete or partial, if there are any. Raises StorageError."""
        raise NotImplementedError

    @abstractmethod
    def walk(self) -> Iterator[StoredName]:
        """Yield all stored names except quarantined ones and descriptions of buckets, in bounded memory.

        The order is arbitrary. Names that appear or disappear meanwhile may be included or not. Raises StorageError.
        """
        raise NotImplementedError

    # Methods with defaults.

    def new_name(self, hint: str) -> str:
        """Return a new name for a blob; empty if the blob's id is sufficient, which requires `pending_row_first`.

        `hint` is a path that means something to people. A storage may ignore it, or use it to make its names readable.
        Blobs that belong together have the same first segment.
        """
        return uuid.uuid4().hex

    def has_place(self, hint: str) -> bool:
        """Whether bytes with that hint can be saved and deleted again without a trace, such as a new directory."""
        return True

    def delete_small(self, refs: Sequence[BlobRef]) -> list[BlobRef]:
        """Delete the bytes of several small blobs; return those deleted. Failures are logged or raise StorageError."""
        gone = []
        for ref in refs:
            try:
                self.delete(ref)
            except StorageError:
                logger.exception("Blob %s could not be deleted", ref.id)
            else:
                gone.append(ref)
        return gone

    def check(self) -> None:
        """Run the cheapest check that the storage works (for the readiness probe). Raises StorageError."""
        next(iter(self.walk()), None)

    def measure(self, refs: Sequence[BlobRef]) -> list[int | None]:
        """Return how many bytes each blob has; None if it has none, or too few in a way that cannot be measured.

        The default reads the last byte of each blob. Raises StorageError.
        """
        return [self._measure(ref) for ref in refs]

    def _measure(self, ref: BlobRef) -> int | None:
        pieces = self.open(ref, max(0, ref.size - 1), min(1, ref.size))
        try:
            pieces.ensure_readable()
        except BlobMissing:
            return None
        finally:
            pieces.close()
        return ref.size

    def quarantine(self, ref: BlobRef) -> None:
        """Move damaged bytes, if there are any, out of the blob's place, for an operator to examine.

        A storage that leaves bytes in place does nothing: the catalogue already records that the blob is damaged.
        """

    def sweep(self, older_than: float) -> int:
        """Delete temporary leftovers of crashed processes older than `older_than` seconds. Return how many."""
        return 0
