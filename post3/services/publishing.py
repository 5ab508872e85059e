"""Publish saved bytes as an object, in one commit, for PUT, copy and CompleteMultipartUpload.

The order is: save the bytes, write their description (if the storage keeps descriptions), commit, then delete the
description of the old version. A crash in between leaves bytes or a description that nothing refers to, but never an
object without bytes.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import wraps
from typing import Any, NamedTuple, TypeVar

from django.db import DatabaseError, IntegrityError, InterfaceError, OperationalError, connection, transaction

from ..access.permissions import Grant
from ..catalogue.blob_steps import BlobStep, lock_blobs
from ..catalogue.buckets import BucketChanged, BucketState
from ..catalogue.parts import PartBlob
from ..catalogue.rows import NewObject, ObjectRef, Published
from ..catalogue.writing import Written, write_version
from ..descriptions.sidecars import describe, describing_storages
from ..errors import InsufficientStorage, NoSuchKey, Precondition, PreconditionFailed, S3Error, ServiceUnavailable
from ..models import Object, ObjectPart
from ..storage.base import Storage, StorageError, is_full
from ..storage.capabilities import Describing
from ..values import Conditions
from .conditions import check_undisturbed, check_write, is_write_condition
from .renewing import renewing
from .version_ids import version_for

logger = logging.getLogger(__name__)

#: Errors after which it is certain that nothing was committed. After other errors, such as a connection lost during the
#: commit, an object may exist that needs the bytes, so they are kept (D12).
SURELY_NOT_WRITTEN = (S3Error, BucketChanged, IntegrityError, StorageError)

_ATTEMPTS = 5
T = TypeVar("T")


def retried(work: Callable[..., T]) -> Callable[..., T]:
    """Repeat work that lost a race: of two first writers of a key, or of bulk deletes that deadlocked.

    Within a caller's transaction, each attempt has a savepoint, so that the transaction survives a lost attempt.
    """

    @wraps(work)
    def run(*args: Any, **kwargs: Any) -> T:
        for _ in range(_ATTEMPTS - 1):
            try:
                with savepoint():
                    return work(*args, **kwargs)
            except (IntegrityError, OperationalError) as error:
                if not _is_lost_race(error):
                    raise
        with savepoint():
            return work(*args, **kwargs)

    return run


def savepoint() -> AbstractContextManager[None]:
    """Return a savepoint in the caller's transaction, or a null context if there is none: each statement commits."""
    return transaction.atomic() if connection.in_atomic_block else nullcontext()


@contextmanager
def translate_disk_full() -> Iterator[None]:
    """Convert the database's error for a full disk to InsufficientStorage. After it, nothing was written."""
    try:
        yield
    except DatabaseError as error:
        if is_full(error):
            raise InsufficientStorage() from error
        raise


def _is_lost_race(error: Exception) -> bool:
    """Whether it is PostgreSQL's unique violation, foreign key violation, serialization failure or deadlock."""
    return getattr(error.__cause__, "sqlstate", None) in ("23505", "23503", "40001", "40P01")


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of an object to publish: none, one blob, or the blobs of its parts."""

    #: How the object's row gets its blob.
    step: BlobStep
    #: The storage's name of that blob and its CRC-64/NVME, for the description.
    blob_name: str = ""
    crc64nvme: str = ""
    parts: Sequence[PartBlob] = ()


@renewing
@retried
def publish(
    grant: Grant,
    new: NewObject,
    content: Content,
    storage: Storage,
    conditions: Conditions,
    event: str,
    within: Callable[[], int | None] | None = None,
) -> Published:
    """Make `new` the latest version of its key.

    `event`: the end of the event's name in S3, after `s3:ObjectCreated:`.
    `within`: run first in the same transaction. If several callers complete the same upload, all but one wait there,
    before they lock any blob. It returns the revision that the key's latest version must still have if there are
    conditions (`check_undisturbed`), or None for any.
    Raises NoSuchBucket, PreconditionFailed, NoSuchKey (If-Match without an object), ConditionalRequestConflict.
    """
    ref = version_for(grant.bucket, new.key)
    conditional = is_write_condition(conditions)
    if isinstance(storage, Describing):  # if this raises StorageError, the object is not published
        described = describe(ref.bucket.name, ref.version_id, new, content.blob_name, content.crc64nvme, content.parts)
        storage.write_sidecar(new.sidecar, described)
    try:
        with translate_disk_full():
            if conditional or content.parts or within:
                with transaction.atomic():
                    begun = within() if within else None
                    written = _publish_with_care(ref, new, content, conditions if conditional else None, begun)
            else:
                written = _checked(write_version(ref, new, content.step), content.step)
    except SURELY_NOT_WRITTEN:
        delete_sidecars([new.sidecar])
        raise
    if written.old_sidecar and written.old_sidecar != new.sidecar:
        forget_sidecars([written.old_sidecar], durable=False)  # the new one of the same key is durable
    return Published(ref, f"s3:ObjectCreated:{event}")


def _publish_with_care(
    ref: ObjectRef, new: NewObject, content: Content, conditions: Conditions | None, begun: int | None
) -> Written:
    only_new = False
    if conditions is not None:
        latest = lock_latest(ref.bucket, ref.key)
        check_write(conditions, ref.key, latest.etag if latest else None)
        if begun is not None:
            check_undisturbed(conditions, ref.key, begun, latest.revision if latest else 0)
        only_new = conditions.if_none_match is not None
    if not lock_blobs([part.blob_id for part in content.parts if part.blob_id is not None]):
        raise NoSuchKey("The source was deleted while it was copied.")
    written = _checked(write_version(ref, new, content.step, only_new), content.step)
    assert written.object_id is not None  # `_checked` raises otherwise
    ObjectPart.objects.bulk_create([part.as_row(written.object_id) for part in content.parts], batch_size=1000)
    return written


def _checked(written: Written, step: BlobStep) -> Written:
    if written.blob_id is None and step.required:
        raise lost_bytes()
    if written.object_id is None:  # only_new, and another writer was first, after the check
        raise PreconditionFailed(Precondition.IF_NONE_MATCH)
    return written


def lost_bytes() -> ServiceUnavailable:
    return ServiceUnavailable("The upload's bytes were collected, or lost when the database crashed. Please try again.")


class Latest(NamedTuple):
    """The latest version of a key. `etag` is None for a delete marker."""

    etag: str | None
    revision: int


def lock_latest(bucket: BucketState, key: str) -> Latest | None:
    """Lock the latest version of a key until the transaction ends."""
    found = Object.objects.filter(bucket_id=bucket.id, key=key, is_latest=True)
    if connection.features.has_select_for_update:
        found = found.select_for_update(of=("self",))
    row = found.values_list("etag", "revision", "is_delete_marker").first()
    if row is None:
        return None
    etag, revision, is_delete_marker = row
    return Latest(None if is_delete_marker else etag, revision)


def forget_sidecars(names: Iterable[str | None], durable: bool = True) -> None:
    """Delete descriptions of deleted or overwritten objects. Within a caller's transaction, do so when it commits."""
    gone = [name for name in names if name]
    if gone:
        transaction.on_commit(lambda: delete_sidecars(gone, durable), robust=True)


def delete_sidecars(names: Iterable[str | None], durable: bool = True) -> None:
    """Delete the descriptions of objects that no longer exist, from all storages.

    A failure is only logged, because the catalogue has already changed. Nothing else deletes the description then.
    """
    describing = describing_storages()
    for name in filter(None, names):
        for storage in describing:
            try:
                storage.delete_sidecar(name, durable)
            except StorageError:
                logger.exception("A description was left behind: %s", name)


def discard_quietly(discard: Callable[[], None]) -> None:
    """Remove bytes that were not published, without hiding the original error. The worker removes pending remains."""
    with suppress(StorageError, DatabaseError, InterfaceError):
        discard()
