"""How a new object or part gets its blob: pieces of the statements that write objects and parts.

Each piece may refer to `bucket`: one row with the bucket's `id`, or none if the bucket has changed, so that nothing is
written.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import connection

from ..db.sql import fetch, timestamp


@dataclass(frozen=True, slots=True)
class BlobStep:
    """How a new object gets its blob: a statement that returns the blob's id, and what must go along with it.

    The statement may refer to `bucket` (one row with the bucket's `id`); `also` may refer to `blob`.
    """

    sql: str
    parameters: list[Any] = field(default_factory=list)
    also: str = ""
    also_parameters: list[Any] = field(default_factory=list)
    #: Whether the object has bytes: then nothing is written where the statement returns no blob.
    required: bool = True
    #: The bytes, if they are to be in the object's row, and their CRC-64/NVME.
    data: bytes | None = None
    crc64nvme: str | None = None


_NO_BLOB = "SELECT CAST(NULL AS bigint) AS id FROM bucket"


def no_blob() -> BlobStep:
    """For an object of no bytes, and for one whose bytes are those of its parts."""
    return BlobStep(_NO_BLOB, required=False)


def in_row(data: bytes, crc64nvme: str) -> BlobStep:
    """For bytes that the object's row holds itself."""
    return BlobStep(_NO_BLOB, required=False, data=data, crc64nvme=crc64nvme)


def new_blob(
    storage_class: str,
    name: str,
    size: int,
    md5: str,
    crc64nvme: str,
    block_size: int,
    created_at: Any,
    also: tuple[str, list[Any]] | None = None,
) -> BlobStep:
    """For bytes that are saved already, or (`also`) travel with this statement."""
    sql = (
        "INSERT INTO post3_blob (storage_class, name, size, md5, crc64nvme, block_size, state, created_at) "
        "SELECT %s, %s, %s, %s, %s, %s, 1, %s FROM bucket RETURNING id"
    )
    parameters = [storage_class, name, size, md5, crc64nvme, block_size, timestamp(created_at)]
    return BlobStep(sql, parameters, *(also or ("", [])))


def pending_blob(blob_id: int, size: int, md5: str, crc64nvme: str) -> BlobStep:
    """For bytes that were saved under a pending blob.

    The blocks are counted, because they were written without waiting for the disk: should PostgreSQL have crashed
    since, and this upload have gone on over a new connection, those of the last moment before may be gone (D33).
    """
    sql = (
        "UPDATE post3_blob SET state = 1, size = %s, md5 = %s, crc64nvme = %s WHERE id = %s AND state = 0 "
        "AND EXISTS (SELECT 1 FROM bucket) AND (block_size = 0 OR "
        "(SELECT count(*) FROM post3_block WHERE blob_id = post3_blob.id) = (%s + block_size - 1) / block_size) RETURNING id"
    )
    return BlobStep(sql, [size, md5, crc64nvme, blob_id, size])


#: What keeps a blob from being collected: the worker locks FOR UPDATE.
KEEP = "FOR KEY SHARE"


def shared_blob(blob_id: int) -> BlobStep:
    """For a copy by reference. The lock keeps the worker, which may be about to collect the blob, from doing so.

    Not FOR SHARE: whoever overwrites or deletes an object locks its row and then, to release it, its blob. Where a copy
    goes to a key that refers to the same blob already, it would hold the blob and wait for the row. KEY SHARE lets
    blobs be released.
    """
    lock = f" {KEEP}" if connection.vendor == "postgresql" else ""
    return BlobStep(f"SELECT id FROM post3_blob WHERE id = %s AND state = 1 AND EXISTS (SELECT 1 FROM bucket){lock}", [blob_id])


def lock_blobs(blob_ids: Sequence[int]) -> bool:
    """Keep these blobs from being collected until the transaction ends. Return whether all exist and are whole."""
    ordered = sorted(set(blob_ids))
    if connection.vendor == "postgresql":
        sql = f"SELECT id FROM post3_blob WHERE id = ANY(%s::bigint[]) AND state = 1 ORDER BY id {KEEP}"
        return len(fetch(sql, [ordered])) == len(ordered)
    return all(fetch("SELECT 1 FROM post3_blob WHERE id = %s AND state = 1", [blob_id]) for blob_id in ordered)
