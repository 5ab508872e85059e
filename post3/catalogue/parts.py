"""The parts of objects from multipart uploads, and the statements that read them."""

from dataclasses import dataclass

from ..db.sql import fetch
from ..models import ObjectPart
from .rows import ObjectRow


@dataclass(frozen=True, slots=True)
class PartBlob:
    """One part of an object about to be written: its position, and the blob with its bytes (None if it is empty)."""

    part_number: int
    offset: int
    size: int
    checksum: str
    blob_id: int | None
    blob_name: str
    #: Checksums of the blob, in hex and in base64; empty if unknown.
    md5: str
    crc64nvme: str

    def as_row(self, object_id: int) -> ObjectPart:
        return ObjectPart(
            object_id=object_id,
            part_number=self.part_number,
            offset=self.offset,
            size=self.size,
            checksum=self.checksum,
            blob_id=self.blob_id,
        )


@dataclass(frozen=True, slots=True)
class StoredPart(PartBlob):
    """A part in the catalogue, with the columns needed to open its blob."""

    storage_class: str
    #: Bytes of the blob as stored; 0 if there is no blob. `size` is the part's own.
    blob_size: int
    block_size: int
    #: A `Blob.State`; 0 if there is no blob.
    state: int


# The object must still have the revision that was read, so that parts of two writes never mix.
_PARTS = (
    "SELECT p.part_number, p.\"offset\", p.size, p.checksum, p.blob_id, coalesce(b.name, ''), coalesce(b.md5, ''), "
    "coalesce(b.crc64nvme, ''), coalesce(b.storage_class, ''), coalesce(b.size, 0), "
    "coalesce(b.block_size, 0), coalesce(b.state, 0) "
    "FROM post3_object o JOIN post3_objectpart p ON p.object_id = o.id LEFT JOIN post3_blob b ON b.id = p.blob_id "
    "WHERE o.id = %s AND o.revision = %s"
)


def find_parts(row: ObjectRow) -> list[StoredPart]:
    """Return all parts in order; none if the object was overwritten after its row was read."""
    return [StoredPart(*values) for values in fetch(f"{_PARTS} ORDER BY p.part_number", (row.id, row.revision))]


def find_part(row: ObjectRow, part_number: int) -> StoredPart | None:
    """Return the n-th part in order, counted from 1, as S3 numbers the parts of a completed object."""
    found = fetch(f"{_PARTS} ORDER BY p.part_number LIMIT 1 OFFSET %s", (row.id, row.revision, part_number - 1))
    return StoredPart(*found[0]) if found else None


def find_parts_within(row: ObjectRow, start: int, length: int) -> list[StoredPart]:
    """Return the parts that overlap a span, in order; none if the object was overwritten after its row was read."""
    sql = f'{_PARTS} AND p."offset" < %s AND p."offset" + p.size > %s ORDER BY p.part_number'
    return [StoredPart(*values) for values in fetch(sql, (row.id, row.revision, start + length, start))]
