"""The storage interface: a storage saves, opens, copies and deletes named byte strings.

A storage knows nothing of buckets, versions or S3. The catalogue creates a row for each blob, gives the storage a
`BlobRef` to it, and publishes the saved bytes with a commit of its own. Saving writes the bytes first and then the
catalogue; deleting changes the catalogue first. A storage therefore never has to hide or reveal anything. Its bytes
must be complete when `save` returns and durable once the catalogue's commit is, and it must be able to delete what a
crash left behind.
"""

import errno
import io
import logging
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
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
    #: Bytes per block; 0 if the storage has no blocks.
    block_size: int


@dataclass(frozen=True, slots=True)
class StoredName:
    """One name in a storage, as found by `Storage.walk`."""

    #: The blob's id; 0 if the blob is identified by its name.
    id: int
    #: The storage's name, without the suffix for a description; empty if the blob is identified by its id.
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

    def ensure_readable(self) -> None:
        """Verify that the bytes exist. Raises BlobMissing, StorageError."""
        raise NotImplementedError

    def reserve(self, most: int = PIECE) -> Callable[[], bytes] | None:
        """Return a function that reads the next piece of at most `most` bytes; None after the last. Does no I/O itself.

        The first piece may be longer than `most` if `ensure_readable` read it. Different threads may read several
        reserved pieces at the same time. The functions raise BlobMissing, StorageError.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Release open resources. Pieces reserved earlier can still be read."""
        raise NotImplementedError

    def __next__(self) -> bytes:
        read = self.reserve()
        if read is None:
            raise StopIteration
        return read()


class Storage:
    """The interface of every storage; every implementation must pass the suite in `tests/storage/`.

    Instances are shared by all threads of a process.
    """

    #: Whether `inline_insert` and `inline_select` return SQL, so that small bytes travel in the catalogue's SQL.
    inline = False
    #: Maximum bytes that `inline_select` returns: a response of one piece, held as long as its reader is slow.
    inline_size = 0
    #: Maximum bytes that `inline_insert` accepts: a body that is in memory anyway.
    inline_insert_size = 0
    #: Bytes per block of a new blob; 0 if the storage has no blocks.
    block_size = 0
    #: Whether the storage keeps a description next to the bytes, from which a lost catalogue can be rebuilt.
    describes = False

    def __init__(self, storage_class: str, **options: Any) -> None:
        self.storage_class = storage_class

    def new_name(self, bucket: str, key: str) -> str:
        """Return a new name for a blob (or a sidecar) of that key; empty if the blob's id is sufficient."""
        return ""

    def save(self, ref: BlobRef, stream: Stream) -> int:
        """Save all bytes of `stream` under `ref`; return their count.

        The bytes are durable on return or, if they are in the catalogue's database, after its next commit. If the
        stream raises, leaves nothing behind and propagates the exception. Raises StorageError.
        """
        raise NotImplementedError

    def save_at_hand(self, ref: BlobRef, data: bytes) -> None:
        """Save bytes that are in memory and get a sidecar next; they are durable once `write_sidecar` has returned.

        Raises StorageError.
        """
        self.save(ref, io.BytesIO(data))

    def has_place(self, bucket: str) -> bool:
        """Whether bytes for that bucket can be saved and then deleted without a trace if the bucket does not exist."""
        return False

    def open(self, ref: BlobRef, start: int, length: int) -> Pieces:
        """Return the `length` bytes from `start` (both within the blob).

        Raises BlobMissing and StorageError immediately if the bytes are missing, not when the first piece is read.
        """
        pieces = self.pieces(ref, start, length)
        pieces.ensure_readable()
        return pieces

    def pieces(self, ref: BlobRef, start: int, length: int) -> Pieces:
        """Return the same as `open` without checking that the bytes exist. Does no I/O."""
        raise NotImplementedError

    def copy(self, source: BlobRef, target: BlobRef) -> int:
        """Copy the bytes of `source` to `target`, both in this storage; return their count. Durable as after `save`."""
        raise NotImplementedError

    def delete(self, ref: BlobRef) -> None:
        """Delete the bytes under `ref`, complete or partial, if there are any. May take many small steps."""
        raise NotImplementedError

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

    def delete_in_steps(self, ref: BlobRef) -> Iterator[None]:
        """Delete the same as `delete`, a little with each step, so that the caller can let others go first."""
        self.delete(ref)
        yield

    def tidy(self, freed: int) -> None:
        """Note that `freed` bytes were deleted, and reclaim their space if that needs an extra step."""

    def check(self) -> None:
        """Run the cheapest check that the storage works (for the readiness probe). Raises StorageError."""
        raise NotImplementedError

    def write_sidecar(self, name: str, document: bytes) -> None:
        """Store a description under `name` (from `new_name`), durable on return. Only if `describes`."""

    def delete_sidecar(self, name: str, durable: bool = True) -> None:
        """Delete a description if it exists. Only if `describes`.

        Without `durable`, a power failure may bring it back. That does no harm if a newer one of the same key exists.
        """

    def read_sidecar(self, name: str) -> bytes:
        """Return a description. Only if `describes`. Raises BlobMissing, StorageError."""
        raise BlobMissing(f"this storage keeps no descriptions: {name}")

    def bucket_sidecar(self, bucket: str) -> str:
        """Return the name of the description of a bucket itself, which no blob can have. Only if `describes`."""
        raise NotImplementedError

    def bucket_sidecars(self) -> Iterator[str]:
        """Yield the names of the existing descriptions of buckets. Only if `describes`. Raises StorageError."""
        raise NotImplementedError

    def walk(self) -> Iterator[StoredName]:
        """Yield all stored names except quarantined ones and descriptions of buckets, in bounded memory.

        The order is arbitrary. Names that appear or disappear meanwhile may be included or not. Raises StorageError.
        """
        raise NotImplementedError

    def measure(self, refs: Sequence[BlobRef]) -> list[int | None]:
        """Return how many bytes each blob has; None if it has none or they have a gap.

        Reads no bytes. Raises StorageError.
        """
        raise NotImplementedError

    def quarantine(self, ref: BlobRef) -> None:
        """Move damaged bytes, if there are any, out of the blob's place, for an operator to examine.

        A storage that leaves bytes in place does nothing: the catalogue already records that the blob is damaged.
        """

    def sweep(self, older_than: float) -> int:
        """Delete temporary leftovers of crashed processes older than `older_than` seconds. Return how many."""
        return 0

    def inline_insert(self, data: bytes) -> tuple[str, list[Any]]:
        """Return `INSERT … SELECT … FROM blob` and its parameters, for a CTE whose row `blob` has the new `id`."""
        raise NotImplementedError

    def inline_select(self, blob_id: str) -> str:
        """Return a scalar subquery for the bytes (at most `inline_size`) of the blob whose id is that SQL expression.

        The subquery gives NULL for a blob of another storage, and too few bytes for a blob saved while the storage had
        smaller blocks. Use the bytes only if their length is the blob's size, and `open` the blob otherwise.
        """
        raise NotImplementedError
