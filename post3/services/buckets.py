"""Buckets: create, list and delete them, and write their descriptions in storages that keep descriptions."""

import re
from contextlib import suppress

from django.db import IntegrityError, connection, transaction

from ..access.callers import Caller
from ..access.owners import user_name
from ..access.permissions import Grant
from ..catalogue.buckets import check_current
from ..catalogue.listing import successor
from ..catalogue.removing import remove_bucket
from ..conf import conf
from ..db.rollback import on_rollback
from ..descriptions.sidecars import describe_bucket, describes_bucket, describing_storages
from ..errors import (
    BucketAlreadyExists,
    BucketAlreadyOwnedByYou,
    BucketNotEmpty,
    IllegalLocationConstraintException,
    InvalidBucketName,
    InvalidLocationConstraint,
    NoSuchBucket,
)
from ..models import Bucket, Object
from ..s3.names import is_valid_name
from ..storage.base import BlobMissing
from ..storage.capabilities import Describing
from .disk_reserve import may_use_reserve
from .publishing import retried
from .renewing import renewing

_REGION = re.compile(r"EU|[a-z]{2,3}(-[a-z]+)+-[0-9]{1,2}", re.ASCII)
#: How often creation is tried, if the bucket is deleted between an attempt and the check of its owner.
_ATTEMPTS = 5


def create_bucket(name: str, caller: Caller, region: str | None) -> Bucket:
    """Create a bucket. `region`: the location constraint that was sent, or None.

    As on AWS, creating one's own bucket again succeeds only in us-east-1 (B011).
    Raises InvalidBucketName, InvalidLocationConstraint, IllegalLocationConstraintException, BucketAlreadyExists,
    BucketAlreadyOwnedByYou, StorageError.
    """
    if not is_valid_name(name):
        raise InvalidBucketName(BucketName=name)
    _check_location(region)
    for _ in range(_ATTEMPTS):
        try:
            return _create(name, caller.known_user_id, region)
        except IntegrityError:
            bucket = Bucket.objects.filter(name=name).first()
        if bucket is None:
            continue  # deleted since
        if bucket.owner_id != caller.user_id:
            raise BucketAlreadyExists(BucketName=name)
        if conf.REGION != "us-east-1" or region is not None:
            raise BucketAlreadyOwnedByYou(BucketName=name)
        return bucket
    raise BucketAlreadyExists(BucketName=name)


def _create(name: str, owner_id: int, region: str | None) -> Bucket:
    """Create and describe a bucket. Raises IntegrityError if the name is taken, StorageError."""
    with transaction.atomic():
        bucket = Bucket.objects.create(name=name, owner_id=owner_id, region=region or conf.REGION)
        # Within the transaction, as is their removal, so that creation and deletion of the same name exclude each
        # other.
        document = describe_bucket(bucket)
        for storage in describing_storages():
            storage.write_bucket_sidecar(name, document)
        on_rollback(lambda: _undescribe(name, document))
        return bucket


def _undescribe(name: str, document: bytes) -> None:
    """Remove the description of a bucket that was rolled back, unless somebody else has created the bucket since."""
    user_name.cache_clear()  # the owner may have been rolled back too, and the next user may get their id
    for storage in describing_storages():
        with suppress(BlobMissing):
            if storage.read_bucket_sidecar(name) == document:
                storage.delete_bucket_sidecar(name)


def _check_location(region: str | None) -> None:
    """Check a location constraint. us-east-1 accepts any but itself (B015), other regions only their own (B016).

    Raises InvalidLocationConstraint, IllegalLocationConstraintException.
    """
    if conf.REGION == "us-east-1":
        if region is not None and (region == "us-east-1" or not _REGION.fullmatch(region)):
            raise InvalidLocationConstraint(LocationConstraint=region)
    elif region is None or region_of(region) != conf.REGION:
        which = f"{region} location constraint" if region else "unspecified location constraint"
        raise IllegalLocationConstraintException(
            f"The {which} is incompatible for the region specific endpoint this request was sent to."
        )


def region_of(location: str) -> str:
    """Return the region of a location constraint. They are equal except for EU, the old name of eu-west-1 (B147)."""
    return "eu-west-1" if location == "EU" else location


def list_buckets(owner_id: int, prefix: str, region: str | None, after: str, limit: int) -> list[Bucket]:
    """Return up to `limit` buckets of an owner in name order, from the first name > `after`. `region`: None for all."""
    found = Bucket.objects.filter(owner_id=owner_id, name__gt=after)
    if region:
        found = found.filter(region__in=[region, "EU"] if region == region_of("EU") else [region])
    if prefix:
        # A range, because `startswith` would become SQLite's LIKE, which ignores case.
        found = found.filter(name__gte=prefix)
        if (end := successor(prefix)) is not None:
            found = found.filter(name__lt=end)
    return list(found.order_by("name")[:limit])


@renewing
@may_use_reserve
@retried
def delete_bucket(grant: Grant) -> None:
    """Delete an empty bucket and its unfinished uploads. Raises NoSuchBucket, BucketNotEmpty, StorageError.

    The row is locked first. A concurrent PUT holds a share lock on it through its foreign key, so either the bucket is
    not empty here, or the PUT finds no bucket. A request that completes an upload may hold that upload and wait for the
    bucket while this waits for the upload. The database detects the deadlock, and this is tried again.
    """
    name = grant.bucket.name
    with transaction.atomic():
        bucket = _lock(name)
        if bucket is None:
            raise NoSuchBucket(BucketName=name)
        check_current(grant.bucket, bucket.config_version)
        if Object.objects.filter(bucket=bucket).exists():
            raise BucketNotEmpty(BucketName=name)
        remove_bucket(bucket.pk)
        for storage in describing_storages():
            storage.delete_bucket_sidecar(name)


def describe_buckets() -> int:
    """Write the descriptions of buckets that are missing or out of date, such as those by older releases.

    Return how many were written. Raises StorageError.
    """
    count = 0
    for storage in describing_storages():
        for name in [bucket.name for bucket in Bucket.objects.order_by("pk") if not _is_described(storage, bucket)]:
            with transaction.atomic():
                if bucket := _lock(name):  # unless it was deleted meanwhile
                    storage.write_bucket_sidecar(name, describe_bucket(bucket))
                    count += 1
    return count


def _is_described(storage: Describing, bucket: Bucket) -> bool:
    try:
        return describes_bucket(storage.read_bucket_sidecar(bucket.name), bucket)
    except BlobMissing:
        return False


def _lock(name: str) -> Bucket | None:
    """Lock a bucket's row until the transaction ends. Return the bucket, or None if there is none."""
    locked = Bucket.objects.filter(name=name)
    if connection.features.has_select_for_update:
        locked = locked.select_for_update()
    return locked.first()
