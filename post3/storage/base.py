"""What a storage is: a place that saves, opens, copies and deletes named byte strings.

A storage knows nothing of buckets, versions or S3. The catalogue makes a row for each blob, gives the storage a
`BlobRef` to it, and publishes what was saved by one commit of its own: bytes first, then the catalogue; when deleting,
the catalogue first. A storage therefore never has to hide or reveal anything; it must only be whole
when `save` returns, durable once the catalogue's commit is, and able to delete what a crash left behind.
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
#: PostgreSQL's code of a full disk, and SQLite's: of the database, its log, and the index of its log.
DISK_FULL = "53100"
SQLITE_FULL = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_SHMMAP)


class Stream(Protocol):
    """What a storage reads from: `read(n)` gives at most n bytes, `b""` at the end, and raises where the body is not whole."""

    def read(self, size: int = -1, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class BlobRef:
    """What a storage needs to find one blob."""

    #: The blob's id in the catalogue.
    id: int
    #: The storage's own name of it, as `new_name` made it.
    name: str
    #: Bytes, as saved; 0 while it is being saved.
    size: int
    #: Bytes a block; 0 where the storage has no blocks.
    block_size: int


@dataclass(frozen=True, slots=True)
class StoredName:
    """What a storage holds under one name, as `Storage.walk` finds it."""

    #: The blob's id; 0 where the name tells.
    id: int
    #: The storage's name of it, a description's without its suffix; empty where the id tells.
    name: str
    #: Bytes.
    size: int
    #: Seconds since the epoch when it was last written; 0 where the storage does not know.
    written_at: float
    #: Whether it is a description.
    is_description: bool = False
    #: Whether it is nothing the storage would have made, such as a file with a name of another kind; `name` is its path then.
    is_foreign: bool = False


class StorageError(Exception):
    """A storage could not do what it was asked (disk full, directory missing, I/O error). Says what and where."""


def is_full(error: BaseException) -> bool:
    """Whether an error says that there is no room: on a file system, in PostgreSQL or in SQLite."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        if getattr(seen, "sqlstate", None) == DISK_FULL or getattr(seen, "sqlite_errorcode", None) in SQLITE_FULL:
            return True
        seen = seen.__cause__
    return False


class BlobDamaged(StorageError):
    """The bytes are not those that were stored. Trying again will not help."""


class BlobMissing(BlobDamaged):
    """The bytes the catalogue tells of are not there, or fewer than it tells."""


#: Bytes of the longest piece that a reader is given, and that is asked of a stream.
PIECE = MIB
#: Bytes of the first piece of a range of more than `LONG` bytes: whether its reader is slow, shows only then.
FIRST_PIECE, LONG = 256 * KIB, 8 * MIB


class Pieces(Iterator[bytes]):
    """The bytes of a range in pieces of at most `PIECE` bytes. Iterated over, each is read when it is asked for."""

    def ensure_readable(self) -> None:
        """Make sure that the bytes are there. Raises BlobMissing, StorageError."""
        raise NotImplementedError

    def reserve(self, most: int = PIECE) -> Callable[[], bytes] | None:
        """Return a function that reads the next piece, of at most `most` bytes; None after the last one. Does no I/O itself.

        The first piece may be longer than `most`, where `look` read it.
        Several claimed pieces may be read at once, by different threads. The functions raise BlobMissing, StorageError.
        """
        raise NotImplementedError

    def close(self) -> None:
        """Let go of what is open. Pieces claimed before may still be read."""
        raise NotImplementedError

    def __next__(self) -> bytes:
        read = self.reserve()
        if read is None:
            raise StopIteration
        return read()


class Storage:
    """The interface every storage fulfils; `tests/storage/` holds the suite that all of them must pass.

    Instances are shared by all threads of a process.
    """

    #: Whether `inline_insert` and `inline_select` give SQL, so that small bytes travel in the catalogue's own statement.
    inline = False
    #: Bytes up to which `inline_select` gives them: an answer of one piece, held for as long as its reader is slow.
    inline_size = 0
    #: Bytes up to which `inline_insert` takes them: a body that is in memory anyway.
    inline_insert_size = 0
    #: Bytes a block of a new blob holds; 0 where the storage has no blocks.
    block_size = 0
    #: Whether the storage keeps a description beside the bytes, from which a lost catalogue can be rebuilt.
    describes = False

    def __init__(self, storage_class: str, **options: Any) -> None:
        self.storage_class = storage_class

    def new_name(self, bucket: str, key: str) -> str:
        """Return a fresh name for a blob (or a sidecar) of that key; empty where the blob's id is name enough."""
        return ""

    def save(self, ref: BlobRef, stream: Stream) -> int:
        """Save all bytes of `stream` under `ref`; return their count.

        They are durable when it returns or, where they are in the catalogue's database, with its next commit.
        Leaves nothing behind where the stream raises, and lets its exception through. Raises StorageError.
        """
        raise NotImplementedError

    def save_at_hand(self, ref: BlobRef, data: bytes) -> None:
        """Save bytes that are all there and whose sidecar follows; they are durable once `write_sidecar` returned.

        Raises StorageError.
        """
        self.save(ref, io.BytesIO(data))

    def has_place(self, bucket: str) -> bool:
        """Whether bytes for that bucket can be saved and deleted again without a trace, should the bucket not exist."""
        return False

    def open(self, ref: BlobRef, start: int, length: int) -> Pieces:
        """Return the `length` bytes from `start` (both within the blob).

        The first error shows at the call, not at the first piece: raises BlobMissing and StorageError at once where
        the bytes are not there.
        """
        pieces = self.pieces(ref, start, length)
        pieces.ensure_readable()
        return pieces

    def pieces(self, ref: BlobRef, start: int, length: int) -> Pieces:
        """Return the same as `open` without looking whether the bytes are there. Does no I/O."""
        raise NotImplementedError

    def copy(self, source: BlobRef, target: BlobRef) -> int:
        """Save the bytes of `source` under `target`, both of this storage; return their count. Durable as after `save`."""
        raise NotImplementedError

    def delete(self, ref: BlobRef) -> None:
        """Delete the bytes under `ref`, whole or half-written; nothing there is no error. May take many small steps."""
        raise NotImplementedError

    def delete_small(self, refs: Sequence[BlobRef]) -> list[BlobRef]:
        """Delete the bytes of several small blobs; return those that went. Others are logged, or raise StorageError."""
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
        """Delete what `delete` does, a little with each step, so that the caller can let others go first."""
        self.delete(ref)
        yield

    def tidy(self, freed: int) -> None:
        """Take note that so many bytes were deleted, and see to it that their room is usable again, where that takes more."""

    def check(self) -> None:
        """Do the cheapest thing that shows the storage works (for the readiness probe). Raises StorageError."""
        raise NotImplementedError

    def write_sidecar(self, name: str, document: bytes) -> None:
        """Keep a description under `name` (from `new_name`), durable when it returns. Only where `describes`."""

    def delete_sidecar(self, name: str, durable: bool = True) -> None:
        """Delete a description; nothing there is no error. Only where `describes`.

        Not `durable`: a power cut may bring it back, which does no harm where a newer one of the same key is there.
        """

    def read_sidecar(self, name: str) -> bytes:
        """Return a description. Only where `describes`. Raises BlobMissing, StorageError."""
        raise BlobMissing(f"this storage keeps no descriptions: {name}")

    def bucket_sidecar(self, bucket: str) -> str:
        """Return the name of the description of a bucket itself, which no blob can have. Only where `describes`."""
        raise NotImplementedError

    def bucket_sidecars(self) -> Iterator[str]:
        """Go through the names of the descriptions of buckets that are there. Only where `describes`. Raises StorageError."""
        raise NotImplementedError

    def walk(self) -> Iterator[StoredName]:
        """Go through all that is held, but for what is set aside and what describes buckets, in bounded memory.

        In no particular order; what comes or goes meanwhile may be told or not. Raises StorageError.
        """
        raise NotImplementedError

    def measure(self, refs: Sequence[BlobRef]) -> list[int | None]:
        """Return how many bytes each blob has; None where it has none or they have a gap. Reads no bytes. Raises StorageError."""
        raise NotImplementedError

    def quarantine(self, ref: BlobRef) -> None:
        """Set damaged bytes aside for a person to look at, where they are no blob's any more; nothing there is no error.

        A storage whose bytes stay in their place does nothing: that the blob is damaged is in the catalogue.
        """

    def sweep(self, older_than: float) -> int:
        """Delete temporary leftovers of crashed processes, older than that many seconds. Return how many."""
        return 0

    def inline_insert(self, data: bytes) -> tuple[str, list[Any]]:
        """Return `INSERT … SELECT … FROM blob` for a CTE whose `blob` row holds the new blob's `id`, and its parameters."""
        raise NotImplementedError

    def inline_select(self, blob_id: str) -> str:
        """Return a scalar subquery giving the bytes of a blob of at most `inline_size` bytes whose id is that SQL expression.

        It gives NULL for a blob of another storage, and too little for one saved while the storage had smaller blocks:
        believe it only where its length is the blob's size, and `open` the blob otherwise.
        """
        raise NotImplementedError
