"""DeleteObject and DeleteObjects."""

from collections.abc import Sequence
from datetime import UTC, datetime

from django.db import DatabaseError, connection, transaction

from ..access.permissions import AccessRequest, Grant, is_allowed
from ..catalogue import deleting
from ..catalogue.rows import NewObject, Published
from ..catalogue.writing import insert_delete_marker
from ..errors import AccessDenied, NoSuchKey, PreconditionFailed, S3Error
from ..models import Bucket
from ..storage.base import is_full
from ..values import Conditions, Deletion
from .conditions import check_write
from .disk_reserve import may_use_reserve
from .publishing import forget_sidecars, lock_latest, retried
from .renewing import renewing
from .version_ids import version_for


@renewing
@may_use_reserve
@retried
def delete_object(grant: Grant, key: str, conditions: Conditions) -> Published:
    """Delete a key, or hide its versions behind a delete marker if the bucket keeps versions.

    Deleting a key that does not exist succeeds. Raises NoSuchBucket, PreconditionFailed, and NoSuchKey if there is no
    object for If-Match.
    """
    if conditions.if_match is None:
        return _delete(grant, key)
    with transaction.atomic():
        latest = lock_latest(grant.bucket, key)
        check_write(conditions, key, latest.etag if latest else None)
        return _delete(grant, key)


def _delete(grant: Grant, key: str) -> Published:
    ref = version_for(grant.bucket, key)
    if grant.bucket.versioning == Bucket.Versioning.NEVER:
        forget_sidecars([deleting.delete_object(ref)])
        return Published(ref, "s3:ObjectRemoved:Delete")
    marker = NewObject(
        key=key, owner_id=grant.caller.known_user_id, size=0, etag="", storage_class="STANDARD", last_modified=datetime.now(UTC)
    )
    forget_sidecars([insert_delete_marker(ref, marker).old_sidecar])
    return Published(ref, "s3:ObjectRemoved:DeleteMarkerCreated", is_delete_marker=True)


def _delete_several(grant: Grant, keys: Sequence[str]) -> None:
    """Delete up to 1,000 keys in one statement, or in smaller batches if the disk is full. Raises BucketChanged."""
    if grant.bucket.versioning != Bucket.Versioning.NEVER:
        for key in keys:
            delete_object(grant, key, Conditions())
        return
    try:
        _delete_at_once(grant, keys)
    except DatabaseError as error:
        if len(keys) == 1 or not is_full(error) or connection.in_atomic_block:
            raise
        for half in (keys[: len(keys) // 2], keys[len(keys) // 2 :]):
            _delete_several(grant, half)


@may_use_reserve
@retried
def _delete_at_once(grant: Grant, keys: Sequence[str]) -> None:
    forget_sidecars(sidecar for _, sidecar in deleting.delete_objects(grant.bucket, keys))


@renewing
def delete_each(grant: Grant, deletions: Sequence[Deletion]) -> list[tuple[str, S3Error | None]]:
    """Delete each of up to 1,000 keys if the caller is allowed to. Each key may have a condition.

    Return each key with its error, or None if it was deleted. Raises NoSuchBucket.
    """
    answers: dict[Deletion, S3Error | None] = dict.fromkeys(deletions)
    for deletion in answers:
        if not is_allowed(AccessRequest(grant.caller, "s3:DeleteObject", grant.bucket.name, deletion.key, state=grant.bucket)):
            answers[deletion] = AccessDenied()
    permitted = [deletion for deletion, error in answers.items() if error is None]
    keys = list(dict.fromkeys(deletion.key for deletion in permitted if deletion.etag is None))
    if keys:
        _delete_several(grant, keys)
    for deletion in permitted:
        if deletion.etag is not None:
            try:
                delete_object(grant, deletion.key, Conditions(if_match=deletion.etag))
            except (NoSuchKey, PreconditionFailed) as error:
                answers[deletion] = error
    return [(deletion.key, error) for deletion, error in answers.items()]
