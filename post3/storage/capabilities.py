"""Optional capabilities of storages. Callers check `isinstance(storage, Describing)`. A storage may have both."""

import io
from abc import abstractmethod
from collections.abc import Iterator
from typing import Any

from .base import BlobRef, Storage


class Describing(Storage):
    """Keeps descriptions (sidecars) beside the bytes, from which a lost catalogue can be rebuilt.

    The description of an object has the name of the object's blob, or one from `new_sidecar`. A blob and a description
    may have the same name. The description of a bucket is found by the bucket's name, and `walk` does not yield it.
    """

    def new_sidecar(self, hint: str) -> str:
        """Return a new name for a description, which must not be empty. For the hint see `new_name`."""
        return self.new_name(hint)

    def save_before_sidecar(self, ref: BlobRef, data: bytes) -> None:
        """Save bytes whose sidecar is written next under the same name; durable once `write_sidecar` has returned.

        Raises StorageError.
        """
        self.save(ref, io.BytesIO(data))

    @abstractmethod
    def write_sidecar(self, name: str, document: bytes) -> None:
        """Store a description, in place of an earlier one. Durable on return. Raises StorageError."""
        raise NotImplementedError

    @abstractmethod
    def read_sidecar(self, name: str) -> bytes:
        """Return a description. Raises BlobMissing, StorageError."""
        raise NotImplementedError

    @abstractmethod
    def delete_sidecar(self, name: str, durable: bool = True) -> None:
        """Delete a description if it exists. Raises StorageError.

        Without `durable`, a power failure may bring it back. That does no harm if a newer one of the same key exists.
        """
        raise NotImplementedError

    @abstractmethod
    def write_bucket_sidecar(self, bucket: str, document: bytes) -> None:
        """Store the description of a bucket, in place of an earlier one. Durable on return. Raises StorageError."""
        raise NotImplementedError

    @abstractmethod
    def read_bucket_sidecar(self, bucket: str) -> bytes:
        """Return the description of a bucket. Raises BlobMissing, StorageError."""
        raise NotImplementedError

    @abstractmethod
    def delete_bucket_sidecar(self, bucket: str) -> None:
        """Delete the description of a bucket if it exists. Raises StorageError."""
        raise NotImplementedError

    @abstractmethod
    def described_buckets(self) -> Iterator[str]:
        """Yield the names of the buckets that have a description. Raises StorageError."""
        raise NotImplementedError


class CatalogueResident(Storage):
    """Keeps bytes in the catalogue's own database, so they commit and roll back together with the catalogue's rows.

    Small bytes are part of the catalogue's statement: an upload inserts them with the object's row, a download selects
    them with it. Other bytes are rows that refer to the row of their blob. Reading takes a database connection, so
    `Pieces.uses_connection` must be true.
    """

    #: The bytes refer to the row of the blob, so it must exist first.
    pending_row_first = True
    #: Maximum bytes of an object that its own row keeps, instead of this storage. Not used if the storage is also
    #: `Describing`, because those bytes must outlive the catalogue.
    row_size = 0
    #: Maximum bytes that `inline_insert` accepts: a body that is in memory anyway.
    inline_insert_size = 0
    #: Maximum bytes that `inline_select` returns: a response of one piece, held as long as its reader is slow.
    inline_size = 0
    #: Bytes per block of a new blob, recorded in the blob's row; the blocks are rows of `post3_block`, which are
    #: counted when a pending blob is published (D33). 0 if the bytes are in another table.
    block_size = 0

    @abstractmethod
    def inline_insert(self, data: bytes) -> tuple[str, list[Any]]:
        """Return `INSERT … SELECT … FROM blob` and its parameters, for a CTE whose row `blob` has the new `id`."""
        raise NotImplementedError

    @abstractmethod
    def inline_select(self, blob_id: str) -> str:
        """Return a scalar subquery for the bytes (at most `inline_size`) of the blob whose id is that SQL expression.

        The subquery gives NULL for a blob of another storage, and too few bytes for a blob saved while the storage had
        smaller blocks. Use the bytes only if their length is the blob's size, and `open` the blob otherwise.
        """
        raise NotImplementedError

    def delete_in_steps(self, ref: BlobRef) -> Iterator[None]:
        """Delete the same as `delete`, a little with each step, so that other commits need not wait for all of it."""
        self.delete(ref)
        yield

    def reclaim(self, freed: int) -> None:
        """Note that `freed` bytes were deleted, and reclaim their space if that needs an extra step."""
