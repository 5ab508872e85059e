"""The statement behind every write of an object: its blob, its row, its metadata.

On PostgreSQL it is one statement, so a small PUT is one round trip and one commit. SQLite has no INSERT inside WITH; there
the same pieces run one after another in a transaction, which costs no round trips.

An unversioned key is written by `INSERT … ON CONFLICT (bucket_id, key) WHERE is_latest DO UPDATE`: the last commit wins, no
reader sees two rows or none. The trigger on `blob_id` (migration 0002) releases the bytes that were there before.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any

from django.db import connection, transaction

from ..db.sql import execute, fetch, timestamp
from .attributes import COLUMNS
from .rows import NewObject

_COLUMNS = ("key", *COLUMNS)
_VALUES = ", ".join(["%s"] * len(_COLUMNS))
_ASSIGN = "sequence = post3_object.sequence + 1, " + ", ".join(f"{name} = excluded.{name}" for name in (*_COLUMNS[1:], "blob_id"))


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


def no_blob() -> BlobStep:
    """For an object of no bytes, and for one whose bytes are those of its parts."""
    return BlobStep("SELECT CAST(NULL AS bigint) AS id FROM bucket", required=False)


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

    The blocks are counted, because they were written without waiting for the disk: should PostgreSQL have crashed since, and
    this upload have gone on over a new connection, those of the last moment before may be gone (D33).
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

    Not FOR SHARE: whoever overwrites or deletes an object locks its row and then, to release it, its blob. Where a copy goes to
    a key that refers to the same blob already, it would hold the blob and wait for the row. KEY SHARE lets blobs be released.
    """
    lock = f" {KEEP}" if connection.vendor == "postgresql" else ""
    return BlobStep(f"SELECT id FROM post3_blob WHERE id = %s AND state = 1 AND EXISTS (SELECT 1 FROM bucket){lock}", [blob_id])


def lock_blobs(blob_ids: Sequence[int]) -> bool:
    """Keep these blobs from being collected until the transaction ends; return whether all of them are whole and there."""
    ordered = sorted(set(blob_ids))
    if connection.vendor == "postgresql":
        sql = f"SELECT id FROM post3_blob WHERE id = ANY(%s::bigint[]) AND state = 1 ORDER BY id {KEEP}"
        return len(fetch(sql, [ordered])) == len(ordered)
    return all(fetch("SELECT 1 FROM post3_blob WHERE id = %s AND state = 1", [blob_id]) for blob_id in ordered)


def _upsert(only_new: bool) -> str:
    action = "NOTHING" if only_new else f"UPDATE SET {_ASSIGN}"
    return (
        "INSERT INTO post3_object "
        f"(bucket_id, version_id, sequence, is_latest, is_delete_marker, {', '.join(_COLUMNS)}, blob_id) "
        f"SELECT bucket.id, 'null', 1, true, false, {_VALUES}, blob.id FROM bucket, blob "
        f"WHERE true ON CONFLICT (bucket_id, key) WHERE is_latest DO {action} RETURNING id"
    )


@lru_cache(maxsize=32)
def _postgresql_statement(blob_sql: str, also: str, with_metadata: bool, only_new: bool) -> str:
    block = f", block AS ({also})" if also else ""
    # `created` spares the clean-up for new keys; rows in `version` never name the same metadata twice, so that the
    # upsert and the deletes below, which PostgreSQL runs in no particular order, touch different rows.
    metadata = (
        ", metadata AS (INSERT INTO post3_objectmetadata (object_id, name, value) "
        "SELECT version.id, pair.name, pair.value FROM version, unnest(%s::text[], %s::text[]) AS pair(name, value) "
        "ON CONFLICT (object_id, name) DO UPDATE SET value = excluded.value)"
        if with_metadata
        else ""
    )
    kept = " AND name <> ALL(%s::text[])" if with_metadata else ""
    old = "(SELECT id FROM version WHERE NOT created)"
    return (
        f"WITH bucket AS (SELECT id FROM post3_bucket WHERE name = %s), blob AS ({blob_sql}){block}, "
        f"version AS ({_upsert(only_new)}, (xmax = 0) AS created){metadata}, "
        f"old_metadata AS (DELETE FROM post3_objectmetadata WHERE object_id IN {old}{kept}), "
        f"old_tags AS (DELETE FROM post3_objecttag WHERE object_id IN {old}), "
        f"old_parts AS (DELETE FROM post3_objectpart WHERE object_id IN {old}) "
        "SELECT (SELECT id FROM bucket), (SELECT id FROM blob), (SELECT id FROM version), "
        "(SELECT o.sidecar FROM post3_object o, bucket WHERE o.bucket_id = bucket.id AND o.key = %s AND o.is_latest)"
    )


@dataclass(frozen=True, slots=True)
class Written:
    """What a write found and made.

    `bucket_id` None: no such bucket, and nothing was written. `object_id` None: the key was there and `only_new` asked, or
    the blob is gone.
    """

    bucket_id: int | None
    blob_id: int | None
    object_id: int | None
    #: The sidecar of what was there before, as far as this statement saw it.
    old_sidecar: str | None


def write_object(bucket: str, new: NewObject, blob: BlobStep, only_new: bool = False) -> Written:
    """Make `new` the latest version of its key, whatever was there; with `only_new`, only where nothing was.

    Raises IntegrityError where the bucket goes meanwhile. With `only_new` call it in a transaction and roll back where
    nothing was written, so that the blob goes too.
    """
    values = [timestamp(value) if isinstance(value, datetime) else value for value in attrgetter(*_COLUMNS)(new)]
    if connection.vendor == "postgresql":
        parameters = [bucket, *blob.parameters, *blob.also_parameters, *values]
        if new.metadata:
            names = list(new.metadata)
            parameters += [names, list(new.metadata.values()), names]
        sql = _postgresql_statement(blob.sql, blob.also, bool(new.metadata), only_new)
        return Written(*fetch(sql, [*parameters, new.key])[0])
    with transaction.atomic():
        return _write_on_sqlite(bucket, values, new, blob, only_new)


def _write_on_sqlite(bucket: str, values: list[Any], new: NewObject, blob: BlobStep, only_new: bool) -> Written:
    found = fetch(
        "SELECT b.id, o.sidecar FROM post3_bucket b LEFT JOIN post3_object o "
        "ON o.bucket_id = b.id AND o.key = %s AND o.is_latest WHERE b.name = %s",
        (new.key, bucket),
    )
    if not found:
        return Written(None, None, None, None)
    bucket_id, old_sidecar = found[0]
    blob_id = make_blob(bucket, blob)
    if blob_id is None and blob.required:
        return Written(bucket_id, None, None, old_sidecar)
    upsert = f"WITH bucket AS (SELECT %s AS id), blob AS (SELECT %s AS id) {_upsert(only_new)}"
    rows = fetch(upsert, [bucket_id, blob_id, *values])
    if not rows:
        return Written(bucket_id, blob_id, None, old_sidecar)
    object_id = rows[0][0]
    for table in ("metadata", "tag", "part"):
        execute(f"DELETE FROM post3_object{table} WHERE object_id = %s", (object_id,))
    write_metadata("post3_objectmetadata", "object_id", object_id, new.metadata)
    return Written(bucket_id, blob_id, object_id, old_sidecar)


def make_blob(bucket: str, blob: BlobStep) -> int | None:
    """Run a blob's step by itself, in the caller's transaction; return the blob's id. None: no bucket, or no blob."""
    rows = fetch(f"WITH bucket AS (SELECT id FROM post3_bucket WHERE name = %s) {blob.sql}", [bucket, *blob.parameters])
    blob_id = rows[0][0] if rows else None
    if blob.also and blob_id is not None:
        execute(f"WITH blob AS (SELECT {int(blob_id)} AS id) {blob.also}", blob.also_parameters)
    return blob_id


def write_metadata(table: str, column: str, owner_id: int, metadata: dict[str, str]) -> None:
    """Insert user metadata of an object or upload, which has none yet."""
    for name, value in metadata.items():
        execute(f"INSERT INTO {table} ({column}, name, value) VALUES (%s, %s, %s)", (owner_id, name, value))


def delete_objects(bucket_id: int, keys: Sequence[str]) -> list[tuple[str, str]]:
    """Delete the latest versions of these keys; return (key, sidecar) of those that were there."""
    ordered = sorted(keys)  # one order for everybody, so that two bulk deletes rarely wait for each other in a circle
    if connection.vendor == "postgresql":  # one parameter, so that one prepared statement serves every count of keys
        return fetch(
            "WITH gone AS (DELETE FROM post3_object WHERE bucket_id = %s AND is_latest AND key = ANY(%s::text[]) "
            f"RETURNING key, sidecar), {_overtaken('u.bucket_id = %s AND u.key = ANY(%s::text[])')} "
            "SELECT key, sidecar FROM gone",
            [bucket_id, ordered, bucket_id, ordered],
        )
    with transaction.atomic(savepoint=False):
        listed = ", ".join(["%s"] * len(ordered))
        gone = fetch(
            f"DELETE FROM post3_object WHERE bucket_id = %s AND is_latest AND key IN ({listed}) RETURNING key, sidecar",
            [bucket_id, *ordered],
        )
        if gone:
            listed = ", ".join(["%s"] * len(gone))
            execute(
                f"UPDATE post3_multipartupload SET key_sequence = -1 WHERE bucket_id = %s AND key IN ({listed})",
                [bucket_id, *(key for key, _ in gone)],
            )
        return gone


def _overtaken(which: str) -> str:
    """Return the part of a deleting statement that marks the uploads to the deleted keys, so that a condition on their
    completion fails (B073). `which` picks uploads `u`; `gone` are the deleted rows.

    One that is locked is being completed, which waits for nobody else's deletion, so it is left alone.
    """
    return (
        "overtaken AS (UPDATE post3_multipartupload SET key_sequence = -1 WHERE id IN (SELECT u.id FROM post3_multipartupload u "
        f"WHERE {which} AND EXISTS (SELECT 1 FROM gone WHERE gone.key = u.key) AND u.key_sequence <> -1 "
        "FOR NO KEY UPDATE OF u SKIP LOCKED))"
    )


def delete_object(bucket: str, key: str) -> tuple[bool, list[str]]:
    """Delete the latest version of a key. Return (whether the bucket exists, sidecars of what was there)."""
    if connection.vendor == "postgresql":
        row = fetch(
            "WITH bucket AS (SELECT id FROM post3_bucket WHERE name = %s), "
            "gone AS (DELETE FROM post3_object o USING bucket WHERE o.bucket_id = bucket.id AND o.key = %s AND o.is_latest "
            f"RETURNING o.key, o.sidecar), {_overtaken('u.bucket_id = (SELECT id FROM bucket) AND u.key = %s')} "
            "SELECT (SELECT id FROM bucket), (SELECT sidecar FROM gone)",
            (bucket, key, key),
        )[0]
        return row[0] is not None, [row[1]] if row[1] is not None else []
    with transaction.atomic():
        found = fetch("SELECT id FROM post3_bucket WHERE name = %s", (bucket,))
        return bool(found), [sidecar for _, sidecar in delete_objects(found[0][0], [key])] if found else []
