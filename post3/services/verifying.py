"""Verify bytes as they are read: the CRC-64/NVME of a whole blob must be the one recorded when it was saved.

The thread that reads a piece computes its checksum, at 50 GB/s. Several pieces may be read at the same time. The thread
that completes the blob compares the checksum of all pieces; if it differs, that piece is not sent. The client then sees
an interrupted response, never wrong bytes in a complete one.

A range of a blob cannot be verified in this way, because only the checksum of the whole blob is recorded. A whole read
that finds damage therefore marks the blob as damaged, as scrubbing does, and ranges of it are refused from then on
(D76).
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import DatabaseError, InterfaceError

from .. import checksums
from ..catalogue.rows import ObjectRow
from ..models import Blob
from ..storage.base import FIRST_PIECE, PIECE, BlobDamaged, BlobMissing, BlobRef, Pieces, StorageError
from ..storage.handler import storages
from .damage import mark_damaged, refuse_absence

logger = logging.getLogger(__name__)


def open_blob(storage_class: str, ref: BlobRef, state: int, crc64nvme: str, start: int, length: int) -> Pieces:
    """Return the `length` bytes from `start` of a blob, verified if they are the whole blob. Does no I/O.

    Raises BlobDamaged if the blob is already marked as damaged.
    """
    refuse_damaged(state)
    pieces = storages[storage_class].open(ref, start, length)
    return VerifiedPieces(pieces, storage_class, ref, crc64nvme) if crc64nvme and length == ref.size else pieces


def refuse_damaged(*states: int) -> None:
    """Raise BlobDamaged if one of these states of blobs is DAMAGED."""
    if Blob.State.DAMAGED in states:
        raise BlobDamaged("The bytes were found damaged before")


def verify(data: bytes, storage_class: str, ref: BlobRef, crc64nvme: str) -> None:
    """Verify the bytes of a whole blob. Raises BlobDamaged."""
    if crc64nvme and checksums.crc64nvme(data) != crc64nvme:
        with _damage_marked(storage_class, ref):
            raise _wrong_checksum(ref)


def bytes_in_row(row: ObjectRow) -> bytes:
    """Return the bytes that an object's row holds, verified. Raises BlobDamaged."""
    data = row.data or b""
    verify_bytes(data, row.size, row.crc64nvme)
    return data


def verify_bytes(data: bytes, size: int, crc64nvme: str) -> None:
    """Compare bytes with their size and CRC-64/NVME. Raises BlobDamaged."""
    if len(data) != size:
        raise BlobDamaged(f"has {len(data) or 'none'} of {size} bytes")
    if (crc := checksums.crc64nvme(data)) != crc64nvme:
        raise BlobDamaged(f"its CRC-64/NVME is {crc}, not {crc64nvme}")


def _wrong_checksum(ref: BlobRef) -> BlobDamaged:
    return BlobDamaged(f"Blob {ref.id} ({ref.size} bytes) is not what was stored: its CRC-64/NVME differs")


@contextmanager
def _damage_marked(storage_class: str, ref: BlobRef) -> Iterator[None]:
    """Mark the blob as damaged if the block, which reads all of it, raises BlobDamaged. The error is propagated."""
    try:
        yield
    except BlobDamaged as error:
        try:
            if isinstance(error, BlobMissing):
                refuse_absence(storages[storage_class])
            mark_damaged(Blob(pk=ref.id, storage_class=storage_class), error)
        except (DatabaseError, InterfaceError, StorageError) as failure:
            logger.error("Blob %s is damaged (%s), but cannot be marked as damaged: %s", ref.id, error, failure)
        raise


class VerifiedPieces(Pieces):
    """All pieces of a blob. Reading the piece that completes them raises BlobDamaged if the checksum differs."""

    def __init__(self, inner: Pieces, storage_class: str, ref: BlobRef, crc64nvme: str) -> None:
        self._inner, self._storage_class, self._ref, self._expected = inner, storage_class, ref, crc64nvme
        #: (CRC, bytes) of each piece, in order; None while it is being read.
        self._sums: list[tuple[str, int] | None] = []
        self._left = ref.size
        #: The first piece, if `ensure_readable` read it.
        self._read: bytes | None = None
        self._lock = threading.Lock()

    @property
    def uses_connection(self) -> bool:
        return self._inner.uses_connection

    def ensure_readable(self) -> None:
        """Check that the bytes exist. Read and verify a blob of one small piece, so that damage gives an error."""
        with _damage_marked(self._storage_class, self._ref):
            self._inner.ensure_readable()
        if self._ref.size <= FIRST_PIECE and (read := self.reserve()) is not None:
            self._read = read()

    def reserve(self, most: int = PIECE) -> Callable[[], bytes] | None:
        if self._read is not None:
            data, self._read = self._read, None
            return lambda: data
        read = self._inner.reserve(most)
        if read is None:
            return None
        number = len(self._sums)
        self._sums.append(None)
        return lambda: self._summed(number, read)

    def all_read(self) -> bytes | None:
        return self._read if self._left == 0 else None

    def close(self) -> None:
        self._read = None
        self._inner.close()

    def _summed(self, number: int, read: Callable[[], bytes]) -> bytes:
        with _damage_marked(self._storage_class, self._ref):
            return self._verified(number, read())

    def _verified(self, number: int, data: bytes) -> bytes:
        summed = checksums.crc64nvme(data)
        with self._lock:
            self._sums[number] = (summed, len(data))
            self._left -= len(data)
            whole = self._left == 0
        if whole and checksums.full_object("CRC64NVME", filter(None, self._sums)) != self._expected:
            raise _wrong_checksum(self._ref)
        return data
