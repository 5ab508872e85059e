"""Read objects made by a multipart upload. Each of their parts is a blob, which copies share."""

from collections.abc import Callable, Sequence

from ..catalogue.parts import StoredPart, find_parts_within
from ..catalogue.rows import ObjectRow
from ..storage.base import PIECE, BlobRef, Pieces
from .verifying import open_blob, refuse_damaged


def open_parts(row: ObjectRow, start: int, length: int) -> Pieces | None:
    """Return the bytes of a span that may extend over several parts, or None if the object has since been overwritten.

    Raises BlobDamaged if any of these parts is known to be damaged.
    """
    found = find_parts_within(row, start, length)
    if sum(part.size for part in found) < length:
        return None
    refuse_damaged(*(part.state for part in found))
    pieces = PartsPieces(found, start, length)
    pieces.ensure_readable()
    return pieces


class PartsPieces(Pieces):
    """The bytes of several parts, one after the other."""

    def __init__(self, parts: Sequence[StoredPart], start: int, length: int) -> None:
        self._parts = iter(parts)
        self._start, self._end = start, start + length
        self._current: Pieces | None = self._next_part()

    @property
    def uses_connection(self) -> bool:
        return self._current is not None and self._current.uses_connection

    def ensure_readable(self) -> None:
        """Check the first part, so that its errors are raised before the response starts."""
        if self._current is not None:
            self._current.ensure_readable()

    def _next_part(self) -> Pieces | None:
        part = next(self._parts, None)
        if part is None:
            return None
        ref = BlobRef(part.blob_id or 0, part.blob_name, part.blob_size, part.block_size)
        first = max(self._start, part.offset)
        last = min(self._end, part.offset + part.size)
        return open_blob(part.storage_class, ref, part.state, part.crc64nvme, first - part.offset, last - first)

    def reserve(self, most: int = PIECE) -> Callable[[], bytes] | None:
        while self._current is not None:
            read = self._current.reserve(most)
            if read is not None:
                return read
            self._current = self._next_part()
        return None

    def close(self) -> None:
        """Close the current part."""
        if self._current is not None:
            self._current.close()
            self._current = None
