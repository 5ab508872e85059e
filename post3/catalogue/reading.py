"""The statement behind GET and HEAD: the latest version, its headers, metadata and, if small, its bytes.

Hand-written because it is the most frequent one: two ORM queries give 800 to 1,200 reads per core and second, one
prepared statement in binary format up to 6,200 (architecture, decision 6).
"""

import json
from collections.abc import Callable
from functools import lru_cache

from ..db.sql import fetch
from .attributes import COLUMNS, DECLARATIONS
from .buckets import BucketState, check_current
from .rows import ObjectRow, as_datetime

#: The attributes that are read. They are the first fields of `ObjectRow`.
_READ = tuple(name for name in COLUMNS if DECLARATIONS[name].read)
_LAST_MODIFIED, _METADATA = _READ.index("last_modified"), _READ.index("metadata")
#: Parsing empty metadata takes longer than not sending it.
_SENT = {"metadata": "nullif(o.metadata, '{}')"}
#: The class, for a call with attributes by position, which a type checker cannot count.
_row: Callable[..., ObjectRow] = ObjectRow
_SELECTED = ", ".join(
    (
        "b.config_version",
        "o.id",
        "o.version_id",
        "o.revision",
        "o.blob_id",
        "coalesce(bl.name, '')",
        "coalesce(bl.size, 0)",
        "coalesce(bl.block_size, 0)",
        "coalesce(o.crc64nvme, bl.crc64nvme, '')",
        "coalesce(bl.state, 0)",
        *(_SENT.get(name, f"o.{name}") for name in _READ),
    )
)


#: SQL for the bytes: none, and those in the object's row.
NOT_READ, IN_ROW = "NULL", "o.data"


@lru_cache(maxsize=16)
def small_bytes(select: str, most: int) -> str:
    """Return SQL for bytes in the row, and for those of blobs of at most `most` bytes, by the subquery `select`."""
    return f"coalesce({IN_ROW}, CASE WHEN bl.size <= {most} THEN {select} END)"


@lru_cache(maxsize=16)
def _statement(data: str) -> str:
    return (
        f"SELECT {_SELECTED}, {data} "
        "FROM post3_bucket b "
        "LEFT JOIN post3_object o ON o.bucket_id = b.id AND o.key = %s AND o.is_latest AND NOT o.is_delete_marker "
        "LEFT JOIN post3_blob bl ON bl.id = o.blob_id "
        "WHERE b.id = %s"
    )


def find_object(bucket: BucketState, key: str, data: str = NOT_READ) -> ObjectRow | None:
    """Return the latest version of a key, or None. Raises BucketChanged.

    `data`: SQL for its bytes: `NOT_READ`, `IN_ROW`, or a call of `small_bytes`.
    """
    rows = fetch(_statement(data), (key, bucket.id))
    check_current(bucket, rows[0][0] if rows else None)
    _, row_id, version_id, revision, blob_id, blob_name, blob_size, block_size, crc64nvme, state, *attributes, found = rows[0]
    if row_id is None:
        return None
    attributes[_LAST_MODIFIED] = as_datetime(attributes[_LAST_MODIFIED])
    metadata = attributes[_METADATA]
    if metadata is None:
        attributes[_METADATA] = {}
    elif isinstance(metadata, str):  # SQLite has no type for JSON
        attributes[_METADATA] = json.loads(metadata)
    return _row(
        *attributes,
        id=row_id,
        bucket_id=bucket.id,
        key=key,
        version_id=version_id,
        revision=revision,
        blob_id=blob_id,
        blob_name=blob_name,
        blob_size=blob_size,
        block_size=block_size,
        crc64nvme=crc64nvme,
        blob_state=state,
        data=found,
    )
