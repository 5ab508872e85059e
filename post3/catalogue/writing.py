"""The statement behind every write of an object: its blob and its row.

On PostgreSQL it is one statement, so a small PUT is one round trip and one commit. SQLite has no INSERT inside WITH;
there the same pieces run one after another in a transaction, which costs no round trips.

A key is written in one of three ways, by the bucket's versioning:
 - `overwrite`, if the bucket never kept versions: `INSERT … ON CONFLICT (bucket_id, key) WHERE is_latest DO UPDATE`.
   The last commit wins, and no reader sees two rows or none. A trigger on `blob_id` releases the previous bytes.
 - `append_version`: a new row becomes the latest one. The version "null" of a suspended bucket replaces the one before
   it.
 - `insert_delete_marker`: the same for a row without content.

Each enters the bucket first (`migrations/_functions.py`), so that no write acts by settings that have changed. Triggers
(`migrations/_triggers.py`) keep the rows of `ObjectMetadata` equal to the column `metadata`, and remove the parts of an
object that is overwritten.
"""

import json
from dataclasses import dataclass
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

#: The attributes, and what `BlobStep` gives.
_COLUMNS = ("key", *COLUMNS, "data", "crc64nvme")
#: PostgreSQL takes JSON as text, and NULL for bytes, only if they are cast.
_CASTS = {"metadata": "::jsonb", "data": "::bytea"}
_VALUES = {
    "postgresql": ", ".join(f"%s{_CASTS.get(name, '')}" for name in _COLUMNS),
    "sqlite": ", ".join(["%s"] * len(_COLUMNS)),
}
_ASSIGNED = (*_COLUMNS[1:], "blob_id")
_ASSIGN = "revision = post3_object.revision + 1, " + ", ".join(f"{name} = excluded.{name}" for name in _ASSIGNED)
_NAMES = ", ".join(("bucket_id", "version_id", "sequence", "revision", "is_latest", "is_delete_marker", *_COLUMNS, "blob_id"))
_INSERT = f"INSERT INTO post3_object ({_NAMES})"
_values = attrgetter("key", *COLUMNS)
_LAST_MODIFIED, _METADATA = _COLUMNS.index("last_modified"), _COLUMNS.index("metadata")

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
    """The result of a write. `object_id` is None if `only_new` was given and the key exists, or if the blob is gone."""

    blob_id: int | None
    object_id: int | None
    #: The description of the version that was replaced, as far as this statement saw it.
    old_sidecar: str | None


def write_version(ref: ObjectRef, new: NewObject, blob: BlobStep, only_new: bool = False) -> Written:
    """Make `new` the latest version of its key, in the way of its bucket. Raises BucketChanged.

    With `only_new`, write only if there is no latest version; call it in a transaction and roll back if nothing was
    written, so that the blob goes too.
    """
    if ref.bucket.versioning == Bucket.Versioning.NEVER:
        return overwrite(ref, new, blob, only_new)
    return append_version(ref, new, blob)


def overwrite(ref: ObjectRef, new: NewObject, blob: BlobStep, only_new: bool = False) -> Written:
    """Put `new` in place of the only version of its key."""
    values = _values_of(new, blob)
    if connection.vendor == "postgresql":
        parameters = [*entry_of(ref.bucket), *blob.parameters, *blob.also_parameters, *values, new.key]
        return _written(ref, fetch(_overwriting(blob.sql, blob.also, only_new), parameters))
    with transaction.atomic():
        enter(ref.bucket)
        old_sidecar = _sidecar_of_latest(ref)
        blob_id = _blob_on_sqlite(ref.bucket, blob)
        if blob_id is None and blob.required:
            return Written(None, None, old_sidecar)
        upsert = f"WITH bucket AS (SELECT %s AS id), blob AS (SELECT %s AS id) {_upsert('sqlite', only_new)}"
        rows = fetch(upsert, [ref.bucket.id, blob_id, *values])
        if not rows:
            return Written(blob_id, None, old_sidecar)
        object_id = rows[0][0]
        execute("DELETE FROM post3_objecttag WHERE object_id = %s", (object_id,))
        return Written(blob_id, object_id, old_sidecar)


def append_version(ref: ObjectRef, new: NewObject, blob: BlobStep, *, is_delete_marker: bool = False) -> Written:
    """Make `new` the latest version of its key, and keep the versions before it, except one of the same id ("null")."""
    values = _values_of(new, blob)
    if connection.vendor == "postgresql":
        parameters = [*entry_of(ref.bucket), *blob.parameters, *blob.also_parameters, ref.key, ref.version_id]
        parameters += [ref.version_id, is_delete_marker, *values]
        return _written(ref, fetch(_appending(blob.sql, blob.also), parameters))
    with transaction.atomic():
        enter(ref.bucket)
        blob_id = _blob_on_sqlite(ref.bucket, blob)
        if blob_id is None and blob.required:
            return Written(None, None, None)
        sequence, revision, old_sidecar = _make_way_on_sqlite(ref)
        insert = f"{_INSERT} VALUES (%s, %s, %s, %s, true, %s, {_VALUES['sqlite']}, %s) RETURNING id"
        version = [ref.bucket.id, ref.version_id, sequence + 1, revision + 1, is_delete_marker]
        object_id = fetch(insert, [*version, *values, blob_id])[0][0]
        return Written(blob_id, object_id, old_sidecar)


def insert_delete_marker(ref: ObjectRef, marker: NewObject) -> Written:
    """Hide the versions of a key behind a delete marker."""
    return append_version(ref, marker, no_blob(), is_delete_marker=True)


def enter(bucket: BucketState) -> None:
    """Keep the bucket's settings from changing during the transaction. Raises BucketChanged if they have changed."""
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


def _values_of(new: NewObject, blob: BlobStep) -> list[Any]:
    values = [*_values(new), blob.data, blob.crc64nvme]
    values[_LAST_MODIFIED] = timestamp(new.last_modified)
    values[_METADATA] = json.dumps(new.metadata, ensure_ascii=False) if new.metadata else "{}"
    return values


def _written(ref: ObjectRef, rows: list[Any]) -> Written:
    bucket_id, *others = rows[0]
    if bucket_id is None:
        raise BucketChanged(ref.bucket.name)
    return Written(*others)


def _upsert(vendor: str, only_new: bool) -> str:
    action = "NOTHING" if only_new else f"UPDATE SET {_ASSIGN}"
    return (
        f"{_INSERT} SELECT bucket.id, '{NULL}', 1, 1, true, false, {_VALUES[vendor]}, blob.id FROM bucket, blob "
        f"WHERE true ON CONFLICT (bucket_id, key) WHERE is_latest DO {action} RETURNING id"
    )


@lru_cache(maxsize=32)
def _overwriting(blob_sql: str, also: str, only_new: bool) -> str:
    # `created` spares the clean-up for new keys.
    return (
        f"{_before(blob_sql, also)}, "
        f"version AS ({_upsert('postgresql', only_new)}, (xmax = 0) AS created), "
        "old_tags AS (DELETE FROM post3_objecttag WHERE object_id IN (SELECT id FROM version WHERE NOT created)) "
        "SELECT (SELECT id FROM bucket), (SELECT id FROM blob), (SELECT id FROM version), "
        "(SELECT o.sidecar FROM post3_object o, bucket WHERE o.bucket_id = bucket.id AND o.key = %s AND o.is_latest)"
    )


@lru_cache(maxsize=32)
def _appending(blob_sql: str, also: str) -> str:
    return (
        f"{_before(blob_sql, also)}, "
        "way AS (SELECT way.* FROM bucket, blob, post3_make_way(bucket.id, %s::text, %s::text) AS way), "
        f"version AS ({_INSERT} SELECT bucket.id, %s, way.sequence + 1, way.revision + 1, true, %s, {_VALUES['postgresql']}, "
        "blob.id FROM bucket, blob, way RETURNING id) "
        "SELECT (SELECT id FROM bucket), (SELECT id FROM blob), (SELECT id FROM version), (SELECT old_sidecar FROM way)"
    )


def _before(blob_sql: str, also: str) -> str:
    block = f", block AS ({also})" if also else ""
    return f"WITH bucket AS ({ENTERED['postgresql']}), blob AS ({blob_sql}){block}"


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


def _make_way_on_sqlite(ref: ObjectRef) -> tuple[int, int, str | None]:
    """Do what `post3_make_way` does on PostgreSQL (`migrations/_functions.py`)."""
    which = "bucket_id = %s AND key = %s"
    place = (ref.bucket.id, ref.key)
    latest = fetch(f"SELECT sequence, revision FROM post3_object WHERE {which} AND is_latest", place)
    gone = fetch(f"DELETE FROM post3_object WHERE {which} AND version_id = %s RETURNING sidecar", (*place, ref.version_id))
    execute(f"UPDATE post3_object SET is_latest = false WHERE {which} AND is_latest", place)
    sequence, revision = latest[0] if latest else (0, 0)
    return sequence, revision, gone[0][0] if gone else None
