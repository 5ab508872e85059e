"""Bytes are checked on their way out: where all of a blob is read, its CRC-64/NVME must be what it was when it came in.

A piece is checked by the thread that read it, at 50 GB/s; several are read at once, and the one that makes the blob whole
compares. Its bytes then do not go out, so the client sees an answer that breaks off, never wrong bytes that look whole. A
range of a blob cannot be checked so: what is stored is the sum of all. So damage that a reading of all of it finds is noted in
the catalogue, as scrubbing does, and ranges are refused from then on, too (D76).
"""

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.db import DatabaseError, InterfaceError

from .. import checksums
from ..models import Blob
from ..storage.base import FIRST_PIECE, PIECE, BlobDamaged, BlobMissing, BlobRef, Pieces, StorageError
from ..storage.handler import storages
from .damage import mark_damaged, refuse_absence

logger = logging.getLogger(__name__)


def open_blob(storage_class: str, ref: BlobRef, state: int, crc64nvme: str, start: int, length: int) -> Pieces:
    """Return the `length` bytes from `start` of a blob, checked where that is all of it. Does no I/O: `look` does.

    Raises BlobDamaged for a blob that is known to be damaged.
    """
    refuse_damaged(state)
    pieces = storages[storage_class].pieces(ref, start, length)
    return VerifiedPieces(pieces, storage_class, ref, crc64nvme) if crc64nvme and length == ref.size else pieces


def refuse_damaged(*states: int) -> None:
    """Raise BlobDamaged where one of these states says so."""
    if Blob.State.DAMAGED in states:
        raise BlobDamaged("The bytes were found damaged before")


def verify(data: bytes, storage_class: str, ref: BlobRef, crc64nvme: str) -> None:
    """Check bytes that are all there. Raises BlobDamaged."""
    if crc64nvme and checksums.crc64nvme(data) != crc64nvme:
        with _noted(storage_class, ref):
            raise _not_what_was_stored(ref)


def _not_what_was_stored(ref: BlobRef) -> BlobDamaged:
    return BlobDamaged(f"Blob {ref.id} ({ref.size} bytes) is not what was stored: its CRC-64/NVME is another")


@contextmanager
def _noted(storage_class: str, ref: BlobRef) -> Iterator[None]:
    """Mark a blob damaged where reading all of it raises BlobDamaged, which is let through."""
    try:
        yield
    except BlobDamaged as error:
        try:
            if isinstance(error, BlobMissing):
                refuse_absence(storages[storage_class])
            mark_damaged(Blob(pk=ref.id, storage_class=storage_class), error)
        except (DatabaseError, InterfaceError, StorageError) as failure:
            logger.error("Blob %s is damaged (%s), but cannot be marked so: %s", ref.id, error, failure)
        raise


class VerifiedPieces(Pieces):
    """All pieces of a blob; the reading that completes them raises BlobDamaged where they are not what was stored."""

    def __init__(self, inner: Pieces, storage_class: str, ref: BlobRef, crc64nvme: str) -> None:
        self._inner, self._storage_class, self._ref, self._expected = inner, storage_class, ref, crc64nvme
        #: (CRC, bytes) of each piece, in order; None while it is being read.
        self._sums: list[tuple[str, int] | None] = []
        self._left = ref.size
        #: All of it, where `look` read it.
        self._read: bytes | None = None
        self._lock = threading.Lock()

    def ensure_readable(self) -> None:
        """Read and check at once what is one small piece, so that damage is an error and not an answer that breaks off."""
        with _noted(self._storage_class, self._ref):
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

    def close(self) -> None:
        self._read = None
        self._inner.close()

    def _summed(self, number: int, read: Callable[[], bytes]) -> bytes:
        with _noted(self._storage_class, self._ref):
            return self._checked(number, read())

    def _checked(self, number: int, data: bytes) -> bytes:
        summed = checksums.crc64nvme(data)
        with self._lock:
            self._sums[number] = (summed, len(data))
            self._left -= len(data)
            whole = self._left == 0
        if whole and checksums.full_object("CRC64NVME", filter(None, self._sums)) != self._expected:
            raise _not_what_was_stored(self._ref)
        return data
