"""The parts of an object that came by a multipart upload: each a blob, shared by copies."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..catalogue.rows import ObjectRow
from ..db.sql import fetch
from ..descriptions.sidecars import PartBlob
from ..storage.base import PIECE, BlobRef, Pieces
from .verifying import open_blob, refuse_damaged


@dataclass(frozen=True, slots=True)
class StoredPart(PartBlob):
    """A part as the catalogue has it, with what opening its blob takes."""

    storage_class: str
    block_size: int
    state: int

    def ref(self) -> BlobRef:
        return BlobRef(self.blob_id or 0, self.blob_name, self.size, self.block_size)


# The sequence tells whether the object is still the one whose row was read: parts of two writes must never mix.
_PARTS = (
    "SELECT p.part_number, p.\"offset\", p.size, p.checksum, p.blob_id, coalesce(b.name, ''), coalesce(b.md5, ''), "
    "coalesce(b.crc64nvme, ''), coalesce(b.storage_class, ''), coalesce(b.block_size, 0), coalesce(b.state, 0) "
    "FROM post3_object o JOIN post3_objectpart p ON p.object_id = o.id LEFT JOIN post3_blob b ON b.id = p.blob_id "
    "WHERE o.id = %s AND o.sequence = %s"
)


def find_parts(row: ObjectRow) -> list[StoredPart]:
    """Return all parts in order; none where the object was overwritten since its row was read."""
    return [StoredPart(*values) for values in fetch(f"{_PARTS} ORDER BY p.part_number", (row.id, row.sequence))]


def find_part(row: ObjectRow, part_number: int) -> StoredPart | None:
    """Return the n-th part, counted from 1 in order, as S3 counts the parts of a complete object."""
    found = fetch(f"{_PARTS} ORDER BY p.part_number LIMIT 1 OFFSET %s", (row.id, row.sequence, part_number - 1))
    return StoredPart(*found[0]) if found else None


def open_parts(row: ObjectRow, start: int, length: int) -> Pieces | None:
    """Return the bytes of a span that may touch several parts; None where the object was overwritten since its row was read.

    Raises BlobDamaged where one of these parts is known to be damaged, be it the last.
    """
    sql = f'{_PARTS} AND p."offset" < %s AND p."offset" + p.size > %s ORDER BY p.part_number'
    found = [StoredPart(*values) for values in fetch(sql, (row.id, row.sequence, start + length, start))]
    if sum(part.size for part in found) < length:
        return None
    refuse_damaged(*(part.state for part in found))
    pieces = PartsPieces(found, start, length)
    pieces.ensure_readable()
    return pieces


class PartsPieces(Pieces):
    """The bytes of one part after the other."""

    def __init__(self, parts: Sequence[StoredPart], start: int, length: int) -> None:
        self._parts = iter(parts)
        self._start, self._end = start, start + length
        self._current: Pieces | None = self._next_part()

    def ensure_readable(self) -> None:
        """Look at the first part, so that its errors show before the answer begins."""
        if self._current is not None:
            self._current.ensure_readable()

    def _next_part(self) -> Pieces | None:
        part = next(self._parts, None)
        if part is None:
            return None
        first = max(self._start, part.offset)
        last = min(self._end, part.offset + part.size)
        return open_blob(part.storage_class, part.ref(), part.state, part.crc64nvme, first - part.offset, last - first)

    def reserve(self, most: int = PIECE) -> Callable[[], bytes] | None:
        while self._current is not None:
            read = self._current.reserve(most)
            if read is not None:
                return read
            self._current = self._next_part()
        return None

    def close(self) -> None:
        """Close the part that is open."""
        if self._current is not None:
            self._current.close()
            self._current = None
