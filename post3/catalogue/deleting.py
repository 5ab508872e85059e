"""The statements behind DELETE in a bucket that has never kept versions. In other buckets, it writes a delete marker.

A delete enters the bucket as a write does, because it must not remove a version written after versioning was enabled.
"""

from collections.abc import Sequence

from django.db import connection, transaction

from ..db.sql import execute, fetch
from .buckets import BucketChanged, BucketState
from .rows import ObjectRef
from .writing import ENTERED, enter, entry_of


def delete_object(ref: ObjectRef) -> str | None:
    """Delete the only version of a key. Return its sidecar, or None if there was no object. Raises BucketChanged."""
    bucket, key = ref.bucket, ref.key
    if connection.vendor == "sqlite":
        return next((sidecar for _, sidecar in delete_objects(bucket, [key])), None)
    sidecar: str | None
    found, sidecar = fetch(_ONE, [*entry_of(bucket), key, bucket.id, key])[0]
    if found is None:
        raise BucketChanged(bucket.name)
    return sidecar


def delete_objects(bucket: BucketState, keys: Sequence[str]) -> list[tuple[str, str]]:
    """Delete the only version of each key. Return (key, sidecar) for each key that existed. Raises BucketChanged."""
    ordered = sorted(keys)  # the same order everywhere, so that concurrent bulk deletes rarely deadlock
    if connection.vendor == "sqlite":
        return _delete_on_sqlite(bucket, ordered)
    # All keys are one parameter, so that one prepared statement serves any number of keys.
    first, *gone = fetch(_SEVERAL, [*entry_of(bucket), ordered, bucket.id, ordered])
    if first[0] is None:
        raise BucketChanged(bucket.name)
    return [(key, sidecar) for key, sidecar in gone]


def _delete_on_sqlite(bucket: BucketState, keys: Sequence[str]) -> list[tuple[str, str]]:
    with transaction.atomic(savepoint=False):
        enter(bucket)
        listed = ", ".join(["%s"] * len(keys))
        gone = fetch(
            f"DELETE FROM post3_object WHERE bucket_id = %s AND is_latest AND key IN ({listed}) RETURNING key, sidecar",
            [bucket.id, *keys],
        )
        if gone:
            listed = ", ".join(["%s"] * len(gone))
            execute(
                f"UPDATE post3_multipartupload SET key_revision = -1 WHERE bucket_id = %s AND key IN ({listed})",
                [bucket.id, *(key for key, _ in gone)],
            )
        return [(key, sidecar) for key, sidecar in gone]


def _overtaken(which: str) -> str:
    """Return the part of a deleting statement that marks the uploads to the deleted keys, so that a condition on their
    completion fails (B073). `which` selects uploads `u`; `gone` contains the deleted rows.

    A locked upload is being completed, which does not wait for the deletions of others, so it is skipped.
    """
    return (
        "overtaken AS (UPDATE post3_multipartupload SET key_revision = -1 WHERE id IN (SELECT u.id FROM post3_multipartupload u "
        f"WHERE {which} AND EXISTS (SELECT 1 FROM gone WHERE gone.key = u.key) AND u.key_revision <> -1 "
        "FOR NO KEY UPDATE OF u SKIP LOCKED))"
    )


_ENTERED = f"WITH bucket AS ({ENTERED['postgresql']})"
_GONE = "DELETE FROM post3_object o USING bucket WHERE o.bucket_id = bucket.id AND o.is_latest"
_ONE = (
    f"{_ENTERED}, gone AS ({_GONE} AND o.key = %s RETURNING o.key, o.sidecar), "
    f"{_overtaken('u.bucket_id = %s AND u.key = %s')} SELECT (SELECT id FROM bucket), (SELECT sidecar FROM gone)"
)
#: The first row contains the bucket's id, or NULL if the bucket has changed.
_SEVERAL = (
    f"{_ENTERED}, gone AS ({_GONE} AND o.key = ANY(%s::text[]) RETURNING o.key, o.sidecar), "
    f"{_overtaken('u.bucket_id = %s AND u.key = ANY(%s::text[])')} "
    "SELECT (SELECT id::text FROM bucket), NULL UNION ALL SELECT key, sidecar FROM gone"
)
