"""Verify the bytes that the rows of objects hold. They cannot be marked as damaged, but each read verifies them."""

from collections.abc import Iterator

from ..models import Object
from ..services.verifying import verify_bytes
from ..storage.base import BlobDamaged

BATCH = 200


def damaged_rows(after: int, most: int) -> Iterator[tuple[int, int, Object, str | None]]:
    """Yield (id, bytes, object, what is wrong or None) of objects with bytes in their rows, by id > `after`.

    Stop once `most` bytes have been read.
    """
    read = 0
    while read < most:
        rows = Object.objects.select_related("bucket").filter(pk__gt=after, data__isnull=False).order_by("pk")[:BATCH]
        found = list(rows.only("pk", "key", "size", "data", "crc64nvme", "bucket__name"))
        if not found:
            return
        for row in found:
            after, size = row.pk, len(row.data or b"")
            read += size
            yield row.pk, size, row, what_is_wrong(row)


def what_is_wrong(row: Object) -> str | None:
    """Return what is wrong with the bytes in an object's row, or None."""
    try:
        verify_bytes(bytes(row.data or b""), row.size, row.crc64nvme or "")
    except BlobDamaged as error:
        return str(error)
    return None
