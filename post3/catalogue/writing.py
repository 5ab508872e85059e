"""The statement behind every write of an object: its blob, its row, its metadata.

On PostgreSQL it is one statement, so a small PUT is one round trip and one commit. SQLite has no INSERT inside WITH; there
the same pieces run one after another in a transaction, which costs no round trips.

A key is written in one of three ways, by the bucket's versioning:
 - `overwrite`, if the bucket never kept versions: `INSERT … ON CONFLICT (bucket_id, key) WHERE is_latest DO UPDATE`. The last
   commit wins, and no reader sees two rows or none. A trigger on `blob_id` (migration 0002) releases the previous bytes.
 - `append_version`: a new row becomes the latest one. The version "null" of a suspended bucket replaces the one before it.
 - `insert_delete_marker`: the same for a row without content.

Each enters the bucket first (migration 0011), so that no write acts by settings that have changed.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from operator import attrgetter
from typing import Any

from django.db import connection, transaction

from ..db.sql import execute, fetch, timestamp
from ..models import Bucket
from .attributes import COLUMNS
from .blob_steps import BlobStep, no_blob
from .buckets import BucketChanged, BucketState
from .rows import NULL, NewObject, ObjectRef

_COLUMNS = ("key", *COLUMNS)
_VALUES = ", ".join(["%s"] * len(_COLUMNS))
_ASSIGNED = (*_COLUMNS[1:], "blob_id")
_ASSIGN = "sequence = post3_object.sequence + 1, " + ", ".join(f"{name} = excluded.{name}" for name in _ASSIGNED)
_NAMES = ", ".join(("bucket_id", "version_id", "sequence", "is_latest", "is_delete_marker", *_COLUMNS, "blob_id"))
_INSERT = f"INSERT INTO post3_object ({_NAMES})"

#: The bucket's id, unless the bucket has changed. Parameters: `entry_of`.
ENTERED = {
    "postgresql": "SELECT id FROM post3_enter_bucket(%s::bigint, %s::bigint) AS entered(id) WHERE id IS NOT NULL",
    "sqlite": "SELECT id FROM post3_bucket WHERE id = %s AND config_version = %s",
}


def entry_of(bucket: BucketState) -> tuple[int, int]:
    """Return the parameters of ENTERED."""
    return bucket.id, bucket.config_version


@dataclass(frozen=True, slots=True)
class Written:
    """What a write found and made. `object_id` None: the key was there and `only_new` was asked for, or the blob is gone."""

    blob_id: int | None
    object_id: int | None
    #: The description of the version that was replaced, as far as this statement saw it.
    old_sidecar: str | None


def write_version(ref: ObjectRef, new: NewObject, blob: BlobStep, only_new: bool = False) -> Written:
    """Make `new` the latest version of its key, in the way of its bucket. Raises BucketChanged.

    With `only_new`, write only if there is no latest version; call it in a transaction and roll back if nothing was written, so
    that the blob goes too.
    """
    if ref.bucket.versioning == Bucket.Versioning.NEVER:
        return overwrite(ref, new, blob, only_new)
    return append_version(ref, new, blob)


def overwrite(ref: ObjectRef, new: NewObject, blob: BlobStep, only_new: bool = False) -> Written:
    """Put `new` in place of the only version of its key."""
    values = _values_of(new)
    if connection.vendor == "postgresql":
        parameters = [*entry_of(ref.bucket), *blob.parameters, *blob.also_parameters, *values, *_metadata_of(new)]
        if new.metadata:
            parameters.append(list(new.metadata))
        return _written(ref, fetch(_overwriting(blob.sql, blob.also, bool(new.metadata), only_new), [*parameters, new.key]))
    with transaction.atomic():
        enter(ref.bucket)
        old_sidecar = _sidecar_of_latest(ref)
        blob_id = _blob_on_sqlite(ref.bucket, blob)
        if blob_id is None and blob.required:
            return Written(None, None, old_sidecar)
        upsert = f"WITH bucket AS (SELECT %s AS id), blob AS (SELECT %s AS id) {_upsert(only_new)}"
        rows = fetch(upsert, [ref.bucket.id, blob_id, *values])
        if not rows:
            return Written(blob_id, None, old_sidecar)
        object_id = rows[0][0]
        for table in ("metadata", "tag", "part"):
            execute(f"DELETE FROM post3_object{table} WHERE object_id = %s", (object_id,))
        write_metadata("post3_objectmetadata", "object_id", object_id, new.metadata)
        return Written(blob_id, object_id, old_sidecar)


def append_version(ref: ObjectRef, new: NewObject, blob: BlobStep, *, is_delete_marker: bool = False) -> Written:
    """Make `new` the latest version of its key, and keep the versions before it, except one of the same id ("null")."""
    values = _values_of(new)
    if connection.vendor == "postgresql":
        parameters = [*entry_of(ref.bucket), *blob.parameters, *blob.also_parameters, ref.key, ref.version_id]
        parameters += [ref.version_id, is_delete_marker, *values, *_metadata_of(new)]
        return _written(ref, fetch(_appending(blob.sql, blob.also, bool(new.metadata)), parameters))
    with transaction.atomic():
        enter(ref.bucket)
        blob_id = _blob_on_sqlite(ref.bucket, blob)
        if blob_id is None and blob.required:
            return Written(None, None, None)
        sequence, old_sidecar = _make_way_on_sqlite(ref)
        insert = f"{_INSERT} VALUES (%s, %s, %s, true, %s, {_VALUES}, %s) RETURNING id"
        object_id = fetch(insert, [ref.bucket.id, ref.version_id, sequence + 1, is_delete_marker, *values, blob_id])[0][0]
        write_metadata("post3_objectmetadata", "object_id", object_id, new.metadata)
        return Written(blob_id, object_id, old_sidecar)


def insert_delete_marker(ref: ObjectRef, marker: NewObject) -> Written:
    """Hide the versions of a key behind a delete marker."""
    return append_version(ref, marker, no_blob(), is_delete_marker=True)


def enter(bucket: BucketState) -> None:
    """In a transaction: keep the bucket's settings from changing until it ends. Raises BucketChanged if they have changed."""
    if not fetch(ENTERED[connection.vendor], entry_of(bucket)):
        raise BucketChanged(bucket.name)


def make_blob(bucket: BucketState, blob: BlobStep) -> int | None:
    """Run a blob's step by itself, in the caller's transaction. Return the blob's id, or None. Raises BucketChanged."""
    if connection.vendor == "postgresql":
        parameters = [*entry_of(bucket), *blob.parameters, *blob.also_parameters]
        sql = f"{_before(blob.sql, blob.also)} SELECT (SELECT id FROM bucket), (SELECT id FROM blob)"
        blob_id: int | None
        bucket_id, blob_id = fetch(sql, parameters)[0]
        if bucket_id is None:
            raise BucketChanged(bucket.name)
        return blob_id
    enter(bucket)
    return _blob_on_sqlite(bucket, blob)


def write_metadata(table: str, column: str, owner_id: int, metadata: dict[str, str]) -> None:
    """Insert user metadata of an object or upload, which has none yet."""
    for name, value in metadata.items():
        execute(f"INSERT INTO {table} ({column}, name, value) VALUES (%s, %s, %s)", (owner_id, name, value))


def _values_of(new: NewObject) -> list[Any]:
    return [timestamp(value) if isinstance(value, datetime) else value for value in attrgetter(*_COLUMNS)(new)]


def _metadata_of(new: NewObject) -> list[list[str]]:
    return [list(new.metadata), list(new.metadata.values())] if new.metadata else []


def _written(ref: ObjectRef, rows: list[Any]) -> Written:
    bucket_id, *others = rows[0]
    if bucket_id is None:
        raise BucketChanged(ref.bucket.name)
    return Written(*others)


def _upsert(only_new: bool) -> str:
    action = "NOTHING" if only_new else f"UPDATE SET {_ASSIGN}"
    return (
        f"{_INSERT} SELECT bucket.id, '{NULL}', 1, true, false, {_VALUES}, blob.id FROM bucket, blob "
        f"WHERE true ON CONFLICT (bucket_id, key) WHERE is_latest DO {action} RETURNING id"
    )


@lru_cache(maxsize=32)
def _overwriting(blob_sql: str, also: str, with_metadata: bool, only_new: bool) -> str:
    # `created` spares the clean-up for new keys; rows in `version` never name the same metadata twice, so that the
    # upsert and the deletes below, which PostgreSQL runs in no particular order, touch different rows.
    on_conflict = " ON CONFLICT (object_id, name) DO UPDATE SET value = excluded.value"
    kept = " AND name <> ALL(%s::text[])" if with_metadata else ""
    old = "(SELECT id FROM version WHERE NOT created)"
    return (
        f"{_before(blob_sql, also)}, "
        f"version AS ({_upsert(only_new)}, (xmax = 0) AS created){_metadata(with_metadata, on_conflict)}, "
        f"old_metadata AS (DELETE FROM post3_objectmetadata WHERE object_id IN {old}{kept}), "
        f"old_tags AS (DELETE FROM post3_objecttag WHERE object_id IN {old}), "
        f"old_parts AS (DELETE FROM post3_objectpart WHERE object_id IN {old}) "
        "SELECT (SELECT id FROM bucket), (SELECT id FROM blob), (SELECT id FROM version), "
        "(SELECT o.sidecar FROM post3_object o, bucket WHERE o.bucket_id = bucket.id AND o.key = %s AND o.is_latest)"
    )


@lru_cache(maxsize=32)
def _appending(blob_sql: str, also: str, with_metadata: bool) -> str:
    return (
        f"{_before(blob_sql, also)}, "
        "way AS (SELECT way.* FROM bucket, blob, post3_make_way(bucket.id, %s::text, %s::text) AS way), "
        f"version AS ({_INSERT} SELECT bucket.id, %s, way.sequence + 1, true, %s, {_VALUES}, blob.id FROM bucket, blob, way "
        f"RETURNING id){_metadata(with_metadata)} "
        "SELECT (SELECT id FROM bucket), (SELECT id FROM blob), (SELECT id FROM version), (SELECT old_sidecar FROM way)"
    )


def _before(blob_sql: str, also: str) -> str:
    block = f", block AS ({also})" if also else ""
    return f"WITH bucket AS ({ENTERED['postgresql']}), blob AS ({blob_sql}){block}"


def _metadata(with_metadata: bool, on_conflict: str = "") -> str:
    if not with_metadata:
        return ""
    return (
        ", metadata AS (INSERT INTO post3_objectmetadata (object_id, name, value) "
        "SELECT version.id, pair.name, pair.value "
        f"FROM version, unnest(%s::text[], %s::text[]) AS pair(name, value){on_conflict})"
    )


def _blob_on_sqlite(bucket: BucketState, blob: BlobStep) -> int | None:
    rows = fetch(f"WITH bucket AS (SELECT %s AS id) {blob.sql}", [bucket.id, *blob.parameters])
    blob_id = rows[0][0] if rows else None
    if blob.also and blob_id is not None:
        execute(f"WITH blob AS (SELECT {int(blob_id)} AS id) {blob.also}", blob.also_parameters)
    return blob_id


def _sidecar_of_latest(ref: ObjectRef) -> str | None:
    sql = "SELECT sidecar FROM post3_object WHERE bucket_id = %s AND key = %s AND is_latest"
    rows = fetch(sql, (ref.bucket.id, ref.key))
    return rows[0][0] if rows else None


def _make_way_on_sqlite(ref: ObjectRef) -> tuple[int, str | None]:
    """Do what `post3_make_way` does on PostgreSQL (migration 0011)."""
    which = "bucket_id = %s AND key = %s"
    found = fetch(f"SELECT max(sequence) FROM post3_object WHERE {which}", (ref.bucket.id, ref.key))
    gone = fetch(
        f"DELETE FROM post3_object WHERE {which} AND version_id = %s RETURNING sidecar", (ref.bucket.id, ref.key, ref.version_id)
    )
    execute(f"UPDATE post3_object SET is_latest = false WHERE {which} AND is_latest", (ref.bucket.id, ref.key))
    return found[0][0] or 0, gone[0][0] if gone else None
