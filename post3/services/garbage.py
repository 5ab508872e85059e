"""Garbage: bytes that nothing refers to any more, and what crashed or forgotten uploads left.

Small batches, each in short transactions; several workers may run at once. A blob is taken in two steps, so that no copy can
come to refer to it in between: under a lock it is found unreferenced and marked DELETING; then its bytes go, then its row.
"""

import logging
from datetime import UTC, datetime, timedelta

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, QuerySet

from ..conf import conf
from ..models import Blob, Object, ObjectPart, UploadPart
from ..models.sql import execute
from ..storage.base import BlobRef, StorageError
from ..storage.handler import storages

logger = logging.getLogger(__name__)

BATCH = 100


def collect_garbage() -> int:
    """Do one pass; return how many blobs and leftovers went. Each failure is logged, and left for the next pass."""
    count = 0
    while batch := _take_released():
        count += _delete(batch)
    while batch := _take_abandoned():
        count += _delete(batch)
    count += _delete(_interrupted())
    for storage_class in storages.classes():
        try:
            count += storages[storage_class].sweep(conf.PENDING_UPLOAD_SECONDS)
        except StorageError:
            logger.exception("Leftovers of storage %s could not be removed", storage_class)
    return count


def _locked(blobs: QuerySet[Blob]) -> list[Blob]:
    """Take up to a batch of blobs that no other worker holds."""
    if connection.features.has_select_for_update_skip_locked:
        blobs = blobs.select_for_update(skip_locked=True)
    return list(blobs[:BATCH])


def _take_released() -> list[Blob]:
    """Mark released blobs without references DELETING and return them; clear the mark of those still referred to."""
    before = datetime.now(UTC) - timedelta(seconds=conf.GARBAGE_GRACE_SECONDS)
    while True:
        with transaction.atomic():
            complete = (Blob.State.STORED, Blob.State.DAMAGED)
            released = Blob.objects.filter(released_at__lt=before, state__in=complete).order_by("released_at")
            taken = _locked(released)
            if not taken:
                return []
            # A statement of its own, after the locks: it sees every reference committed before them, and later ones wait.
            keys = [blob.pk for blob in taken]
            shared = set(_referenced(Blob.objects.filter(pk__in=keys)).values_list("pk", flat=True))
            Blob.objects.filter(pk__in=shared).update(released_at=None)
            free = [blob for blob in taken if blob.pk not in shared]
            Blob.objects.filter(pk__in=[blob.pk for blob in free]).update(state=Blob.State.DELETING)
        if free:
            return free


def _referenced(blobs: QuerySet[Blob]) -> QuerySet[Blob]:
    reference = Exists(Object.objects.filter(blob=OuterRef("pk")))
    for model in (ObjectPart, UploadPart):
        reference = reference | Exists(model.objects.filter(blob=OuterRef("pk")))
    return blobs.filter(reference)


def _take_abandoned() -> list[Blob]:
    """Mark pending blobs whose upload can no longer be running DELETING and return them."""
    before = datetime.now(UTC) - timedelta(seconds=conf.PENDING_UPLOAD_SECONDS)
    with transaction.atomic():
        taken = _locked(Blob.objects.filter(state=Blob.State.PENDING, created_at__lt=before).order_by("created_at"))
        now = datetime.now(UTC)
        Blob.objects.filter(pk__in=[blob.pk for blob in taken]).update(state=Blob.State.DELETING, released_at=now)
    return taken


def _interrupted() -> list[Blob]:
    """Return blobs whose deletion a crash interrupted: marked long ago, and still there."""
    before = datetime.now(UTC) - timedelta(seconds=max(conf.GARBAGE_GRACE_SECONDS, 60))
    return list(Blob.objects.filter(state=Blob.State.DELETING, released_at__lt=before)[:BATCH])


def _delete(blobs: list[Blob]) -> int:
    """Delete bytes and row of each; return how many went."""
    count = 0
    for blob in blobs:
        try:
            storage = storages[blob.storage_class]
            storage.delete(BlobRef(blob.pk, blob.name, blob.size, blob.block_size))
        except StorageError:
            logger.exception("Blob %s could not be deleted", blob.pk)
            continue
        execute("DELETE FROM post3_blob WHERE id = %s", (blob.pk,))
        count += 1
    return count
