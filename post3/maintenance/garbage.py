"""Collect garbage: bytes that nothing refers to any more, and remains of crashed or abandoned uploads.

Work is done in small batches and short transactions, and several workers may run at the same time. A blob is deleted in
two steps, so that no copy can start to refer to it in between. First, under a lock, the blob is found to be
unreferenced and is marked DELETING. Then its bytes are deleted, and last its row. In a blob marked DELETING,
`released_at` is the time of the last sign of life from its worker; after a minute without one, another worker takes
over.

Deleting is paced (`pacing.py`): after each step the worker rests for several times as long as the step took.
"""

import logging
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TypeVar

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet, Sum
from django.db.models.functions import Greatest

from ..access import guesses
from ..catalogue.removing import remove_blobs, remove_upload
from ..conf import conf
from ..models import Blob, MultipartUpload, Object, ObjectPart, UploadPart
from ..models.worker import add_work
from ..services import disk_reserve
from ..services.disk_reserve import may_use_reserve
from ..storage.base import MIB, BlobRef, Storage, StorageError
from ..storage.capabilities import CatalogueResident
from ..storage.handler import storages
from .pacing import Pace

logger = logging.getLogger(__name__)

BATCH, UPLOAD_BATCH = 100, 10
#: Maximum bytes of blobs that are deleted together in one step.
MAX_SMALL_SIZE = 8 * MIB
#: Minimum bytes counted for each blob that waits, to account for its rows and its part of a step.
MIN_COUNTED_SIZE = 16 * 1024
#: Seconds after which the deletion of a blob counts as abandoned, and after which its worker gives a sign of life.
ABANDONED, STILL_HERE = 60, 20
#: Maximum seconds per kind of garbage in a pass that rests: garbage may never run out, and the worker has other work.
LONGEST = 60.0

Row = TypeVar("Row", Blob, MultipartUpload)
#: Rests for the given seconds; returns whether the worker must stop.
Rest = Callable[[float], bool]


class Stopped(Exception):
    """The worker was asked to stop. The current work is resumed later."""


class CollectionRun:
    """One pass: its results, and how it rests."""

    def __init__(self, rest: Rest | None) -> None:
        self._rest = rest
        #: Name in WorkerState -> count and bytes.
        self.done: dict[str, tuple[int, int]] = {}

    def note(self, name: str, count: int, size: int = 0) -> None:
        if count:
            had = self.done.get(name, (0, 0))
            self.done[name] = had[0] + count, had[1] + size

    def rest(self, seconds: float, size: int) -> None:
        """Rest after a step that took `seconds` for `size` bytes. Raises Stopped."""
        if self._rest is not None and self._rest(_pace.rest_after(seconds, size)):
            raise Stopped

    @property
    def to_the_end(self) -> bool:
        return self._rest is None

    @property
    def count(self) -> int:
        return sum(count for count, _ in self.done.values())


def collect_garbage(rest: Rest | None = None) -> int:
    """Run one pass; return how many blobs, uploads and leftovers were removed.

    Each failure is logged and left for the next pass. `rest`: how to rest between the steps; None: not at all.
    """
    run = CollectionRun(rest)
    try:
        _collect(run)
    except Stopped:
        pass  # the completed work is still reported
    finally:
        disk_reserve.keep()  # there may be enough space again
        if run.done:
            may_use_reserve(add_work)(run.done)
            told = (f"{name.replace('_', ' ')}: {count} ({size} bytes)" for name, (count, size) in sorted(run.done.items()))
            logger.info("Done in this pass: %s", ", ".join(told))
    return run.count


@may_use_reserve
def _collect(run: CollectionRun) -> None:
    _expire_uploads(run)
    guesses.forget_old()
    for take in (_take_released, _take_abandoned, _take_interrupted):
        ends = time.monotonic() + LONGEST
        while (run.to_the_end or time.monotonic() < ends) and (batch := take()):
            _pace.look()
            _delete(batch, run)
    for storage_class in storages.classes():
        try:
            run.note("leftovers_removed", storages[storage_class].sweep(conf.PENDING_UPLOAD_SECONDS))
        except StorageError:
            logger.exception("Leftovers of storage %s could not be removed", storage_class)


def _expire_uploads(run: CollectionRun) -> None:
    """Abort multipart uploads that were neither completed nor aborted in time.

    An upload is as old as its last part. Its row is locked before its age is finally checked. Storing a part locks the
    row too, as does completing the upload: each is either seen here, or finds the upload gone and raises NoSuchUpload.
    """
    if not conf.MULTIPART_UPLOAD_SECONDS:
        return
    before = datetime.now(UTC) - timedelta(seconds=conf.MULTIPART_UPLOAD_SECONDS)
    recent = Exists(UploadPart.objects.filter(upload=OuterRef("pk"), last_modified__gte=before))
    old = MultipartUpload.objects.filter(~recent, initiated_at__lt=before)
    more = True
    while more:
        with transaction.atomic():
            taken = [upload.pk for upload in _locked(old.order_by("initiated_at"), UPLOAD_BATCH)]
            expired = list(old.filter(pk__in=taken).values_list("pk", flat=True))
            size = UploadPart.objects.filter(upload__in=expired).aggregate(size=Sum("size"))["size"] or 0
            for upload in expired:
                remove_upload(upload)
        run.note("uploads_expired", len(expired), size)
        more = bool(taken)


def _locked(rows: QuerySet[Row], count: int) -> list[Row]:
    """Lock and return up to `count` rows that no other worker has locked."""
    if connection.features.has_select_for_update_skip_locked:
        rows = rows.select_for_update(skip_locked=True, of=("self",))
    return list(rows[:count])


def _take_released() -> list[Blob]:
    """Mark released blobs without references DELETING and return them; clear `released_at` of referenced ones."""
    while True:
        with transaction.atomic():
            taken = _locked(_released().order_by("released_at"), BATCH)
            if not taken:
                return []
            # A separate statement after locking: it sees every reference committed before the locks; later ones wait.
            keys = [blob.pk for blob in taken]
            shared = set(referenced(Blob.objects.filter(pk__in=keys)).values_list("pk", flat=True))
            Blob.objects.filter(pk__in=shared).update(released_at=None)
            free = [blob for blob in taken if blob.pk not in shared]
            _mark(free)
        if free:
            return free


def _released() -> QuerySet[Blob]:
    """Return the released blobs whose grace period is over."""
    before = datetime.now(UTC) - timedelta(seconds=conf.GARBAGE_GRACE_SECONDS)
    return Blob.objects.filter(released_at__lt=before, state__in=(Blob.State.STORED, Blob.State.DAMAGED))


def _waiting() -> int:
    """Return how many bytes wait to be deleted, counting at least `MIN_COUNTED_SIZE` for each blob."""
    return _released().aggregate(size=Sum(Greatest("size", MIN_COUNTED_SIZE)))["size"] or 0


_pace = Pace(_waiting)


def referenced(blobs: QuerySet[Blob]) -> QuerySet[Blob]:
    """Return the blobs among these that an object or an upload refers to."""
    reference = Q(Exists(Object.objects.filter(blob=OuterRef("pk"))))
    for model in (ObjectPart, UploadPart):
        reference |= Q(Exists(model.objects.filter(blob=OuterRef("pk"))))
    return blobs.filter(reference)


def _mark(blobs: list[Blob]) -> None:
    """Mark locked blobs DELETING, with the current time as the last sign of life."""
    Blob.objects.filter(pk__in=[blob.pk for blob in blobs]).update(state=Blob.State.DELETING, released_at=datetime.now(UTC))


def _take_abandoned() -> list[Blob]:
    """Mark pending blobs DELETING if their upload can no longer be running, and return them."""
    before = datetime.now(UTC) - timedelta(seconds=conf.PENDING_UPLOAD_SECONDS)
    with transaction.atomic():
        pending = Blob.objects.filter(state=Blob.State.PENDING, created_at__lt=before).order_by("created_at")
        taken = _locked(pending, BATCH)
        _mark(taken)
    return taken


def _take_interrupted() -> list[Blob]:
    """Return blobs whose deletion a crash interrupted: marked a while ago and still present."""
    before = datetime.now(UTC) - timedelta(seconds=ABANDONED)
    with transaction.atomic():
        taken = _locked(Blob.objects.filter(state=Blob.State.DELETING, released_at__lt=before).order_by("released_at"), BATCH)
        _mark(taken)
    return taken


def _delete(blobs: list[Blob], run: CollectionRun) -> None:
    """Delete the bytes and the row of each blob."""
    seen, waiting = time.monotonic(), {blob.pk for blob in blobs}
    for storage_class, refs in _steps(blobs):
        began = time.monotonic()
        try:
            storage = storages[storage_class]
            for gone in _delete_step(storage, refs):
                freed = _forget(gone, run)
                waiting.difference_update(gone)
                run.rest(time.monotonic() - began, sum(ref.size for ref in refs) or MAX_SMALL_SIZE)
                if isinstance(storage, CatalogueResident):
                    storage.reclaim(freed)
                began = time.monotonic()
                if began - seen > STILL_HERE:
                    Blob.objects.filter(pk__in=waiting, state=Blob.State.DELETING).update(released_at=datetime.now(UTC))
                    seen = began
        except StorageError:
            logger.exception("Blobs could not be deleted: %s", [ref.id for ref in refs])


def _steps(blobs: list[Blob]) -> Iterator[tuple[str, list[BlobRef]]]:
    """Yield the storage class and the blobs of each step: one large blob, or several small ones."""
    ordered = sorted(blobs, key=lambda blob: blob.storage_class)
    for storage_class, group in groupby(ordered, key=lambda blob: blob.storage_class):
        small: list[BlobRef] = []
        for blob in group:
            ref = BlobRef(blob.pk, blob.name, blob.size, blob.block_size)
            if not _is_small(ref):
                yield storage_class, [ref]
                continue
            if sum(other.size for other in small) + ref.size > MAX_SMALL_SIZE:
                yield storage_class, small
                small = []
            small.append(ref)
        if small:
            yield storage_class, small


def _is_small(ref: BlobRef) -> bool:
    """Whether a blob is deleted together with others. The size of a pending blob is unknown and recorded as 0."""
    return 0 < ref.size <= MAX_SMALL_SIZE


def _delete_step(storage: Storage, refs: list[BlobRef]) -> Iterator[list[int]]:
    """Delete the bytes of these blobs; after each part of the work, yield the ids of the deleted ones."""
    if _is_small(refs[0]):
        yield [ref.id for ref in storage.delete_small(refs)]
        return
    if isinstance(storage, CatalogueResident):
        for _ in storage.delete_in_steps(refs[0]):
            yield []
    else:
        storage.delete(refs[0])
        yield []
    yield [refs[0].id]


def _forget(gone: list[int], run: CollectionRun) -> int:
    """Delete the rows of blobs whose bytes were deleted; return how many bytes those were."""
    sizes = remove_blobs(gone)
    if sizes:
        run.note("blobs_collected", len(sizes), sum(sizes))
    return sum(sizes)
