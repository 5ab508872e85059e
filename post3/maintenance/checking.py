"""Check the catalogue against the stored bytes, in both directions, in bounded memory, while the server runs.

Forward, blobs, objects and descriptions are read by id, in batches. Anything in a batch that looks wrong is checked a
second time, because a blob may have been collected, or an object overwritten, after its row was read.
Backward (`orphans.py`), everything in a storage is looked up in the catalogue.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Count, F, OuterRef, QuerySet, Subquery
from django.db.models import Sum as Total
from django.db.models.functions import Coalesce, Length

from ..conf import conf
from ..descriptions import sidecars
from ..models import Blob, Object, ObjectPart
from ..services.damage import Sum, mark_damaged, owners, ref_of, refuse_absence
from ..storage.base import PIECE, BlobDamaged, BlobMissing, Storage, StorageError
from ..storage.capabilities import Describing
from ..storage.handler import storages
from . import orphans
from .garbage import referenced
from .rows import what_is_wrong

BATCH = 500


@dataclass(frozen=True, slots=True)
class Finding:
    """One problem that a check found."""

    #: missing, damaged, too_long, unreadable, unknown_storage_class, unreadable_state, wrong_size, description, orphan,
    #: orphan_description, restored.
    kind: str
    what: str
    detail: str
    repaired: bool = False
    #: (bucket, key) of each affected object.
    affected: list[tuple[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class CheckCounts:
    """Counts of what a check has read."""

    blobs: int = 0
    bytes: int = 0
    objects: int = 0
    descriptions: int = 0
    #: Bytes verified.
    verified: int = 0
    #: Blobs that the worker will collect, and their bytes. These are not problems.
    collectable: int = 0
    collectable_bytes: int = 0
    #: Names in storages that are younger than the minimum age: work in progress.
    young: int = 0
    held: int = 0


@dataclass(slots=True)
class Check:
    """One run. `tell` is called often, with the current kind of work, the amount done, and the total (0: unknown)."""

    verify: bool = False
    repair: bool = False
    min_age: float = field(default_factory=lambda: conf.PENDING_UPLOAD_SECONDS)
    tell: Callable[[str, int, int], None] = lambda doing, done, total: None
    counts: CheckCounts = field(default_factory=CheckCounts)

    def run(self) -> Iterator[Finding]:
        """Check everything and yield each problem. Raises StorageError if a storage cannot be read."""
        for storage_class in storages.classes():
            storages[storage_class].check()
        yield from self._blobs()
        yield from self._objects()
        # If there is no object at all, the catalogue was probably lost, and these bytes are all that remains.
        removing = self.repair and Object.objects.exists()
        for storage_class in storages.classes():
            for held in orphans.find(storages[storage_class], self.min_age, self.counts, self.tell):
                removed = removing and orphans.remove(storages[storage_class], held)
                kind = "orphan_description" if held.is_description else "orphan"
                yield Finding(kind, held.name or f"blob {held.id}", f"{held.size} bytes unknown to the catalogue", removed)

    def _blobs(self) -> Iterator[Finding]:
        totals = Blob.objects.aggregate(bytes=Total("size"), count=Count("pk"))
        total = totals["bytes" if self.verify else "count"] or 0
        for batch in batches(Blob.objects.all()):
            self.counts.blobs += len(batch)
            self.counts.bytes += sum(blob.size for blob in batch)
            unready = (Blob.State.PENDING, Blob.State.DELETING)
            loose = {blob.pk: blob for blob in batch if blob.released_at or blob.state in unready}
            # One statement reads state and references, so that an upload published in between does not look wrong.
            for blob in referenced(Blob.objects.filter(pk__in=loose)):
                loose.pop(blob.pk)
                if blob.state in unready:
                    detail = f"referred to, but {blob.get_state_display()}"
                    yield Finding("unreadable_state", f"blob {blob.pk}", detail, False, owners(blob.pk))
            self.counts.collectable += len(loose)
            self.counts.collectable_bytes += sum(blob.size for blob in loose.values())
            yield from self._bytes([blob for blob in batch if blob.state in (Blob.State.STORED, Blob.State.DAMAGED)], total)

    def _bytes(self, batch: list[Blob], total: int) -> Iterator[Finding]:
        """Check that the bytes of blobs exist and, with `verify`, that they are correct."""
        by_class: dict[str, list[Blob]] = {}
        for blob in batch:
            by_class.setdefault(blob.storage_class, []).append(blob)
        for storage_class, blobs in by_class.items():
            if storage_class not in storages:
                for blob in blobs:
                    detail = f"no storage is configured for {storage_class}"
                    yield Finding("unknown_storage_class", f"blob {blob.pk}", detail, False, owners(blob.pk))
                continue
            storage = storages[storage_class]
            for blob, size in zip(blobs, storage.measure([ref_of(blob) for blob in blobs]), strict=True):
                yield from self._one(storage, blob, size, total)
                if not self.verify:
                    self.tell("blobs", self.counts.blobs, total)

    def _one(self, storage: Storage, blob: Blob, size: int | None, total: int) -> Iterator[Finding]:
        known = blob.state == Blob.State.DAMAGED
        kind, error = "damaged", None
        more = size is not None and size > blob.size
        if (size or 0) < blob.size:
            refuse_absence(storage)
            kind = "missing" if size is None else "damaged"
            error = f"has {size or 'none'} of {blob.size} bytes"
        elif self.verify or known or more:
            try:
                self._read(storage, blob, total)
            except BlobMissing as raised:
                kind, error = "missing", str(raised)
            except BlobDamaged as raised:
                error = str(raised)
            except StorageError as raised:
                kind, error = "unreadable", str(raised)
        if error is None and not known and not more:
            return
        if not Blob.objects.filter(pk=blob.pk, state=blob.state).exists():
            return  # collected meanwhile
        what, affected = f"blob {blob.pk}{f' ({blob.name})' if blob.name else ''}", owners(blob.pk)
        if error is None and not known:
            # The correct bytes are kept, despite the extra bytes after them.
            detail = f"has {size} bytes, of which the first {blob.size} are correct"
            yield Finding("too_long", what, detail, False, affected)
            return
        if error is None:
            detail = "marked as damaged, but its bytes are correct"
            restored = self.repair and bool(
                Blob.objects.filter(pk=blob.pk, state=Blob.State.DAMAGED).update(state=Blob.State.STORED)
            )
            yield Finding("restored", what, detail, restored, affected)
            return
        if self.repair and kind != "unreadable":
            mark_damaged(blob, error)
            storage.quarantine(ref_of(blob))
        # Quarantined or not, the stored bytes are lost, so this is never "repaired".
        yield Finding(kind, what, error, False, affected)

    def _read(self, storage: Storage, blob: Blob, total: int) -> None:
        """Read a whole blob and compare its checksum. Raises BlobDamaged, StorageError."""
        summed, pieces = Sum(blob), storage.open(ref_of(blob), 0, blob.size)
        try:
            while read := pieces.reserve(PIECE):
                summed.update(data := read())
                self.counts.verified += len(data)
                self.tell("bytes", self.counts.verified, total if self.verify else 0)
        finally:
            pieces.close()
        summed.check()

    def _objects(self) -> Iterator[Finding]:
        parts = ObjectPart.objects.filter(object=OuterRef("pk")).order_by().values("object")
        of_parts = Subquery(parts.annotate(total=Total(Coalesce(F("blob__size"), 0))).values("total"))
        objects = Object.objects.select_related("bucket").annotate(
            bytes_held=Coalesce(F("blob__size"), Length("data"), of_parts, 0)
        )
        total = Object.objects.count()
        for batch in batches(objects if self.verify else objects.defer("data")):
            for row in batch:
                self.counts.objects += 1
                self.tell("objects", self.counts.objects, total)
                where = [(row.bucket.name, row.key)]
                if row.bytes_held != row.size:
                    detail = f"has a size of {row.size} bytes, but its blobs have {row.bytes_held}"
                    yield Finding("wrong_size", f"object {row.bucket.name}/{row.key!r}", detail, False, where)
                elif self.verify and row.data is not None:
                    self.counts.verified += row.size
                    if wrong := what_is_wrong(row):
                        yield Finding("damaged", f"object {row.bucket.name}/{row.key!r}", wrong, False, where)
                if row.sidecar and row.storage_class in storages:
                    storage = storages[row.storage_class]
                    if isinstance(storage, Describing):
                        yield from self._description(storage, row)

    def _description(self, storage: Describing, row: Any) -> Iterator[Finding]:
        self.counts.descriptions += 1
        wrong = _wrong_description(storage, row)
        if wrong is None or not Object.objects.filter(pk=row.pk, sidecar=row.sidecar).exists():
            return
        wrong = _wrong_description(storage, row)  # again: the row may also be older than the description
        if wrong is None:
            return
        repaired = self.repair and sidecars.rewrite(storage, row.pk, row.sidecar)
        yield Finding("description", row.sidecar, wrong, repaired, [(row.bucket.name, row.key)])


def _wrong_description(storage: Describing, row: Any) -> str | None:
    """Return what is wrong with an object's description, or None."""
    try:
        document = json.loads(storage.read_sidecar(row.sidecar))
    except BlobMissing:
        return "the description is missing"
    except StorageError as error:
        return str(error)
    except ValueError as error:
        return f"the description is not JSON: {error}"
    expected = {"bucket": row.bucket.name, "key": row.key, "size": row.size, "etag": row.etag}
    told = document if isinstance(document, dict) else {}
    differing = [name for name, value in expected.items() if told.get(name) != value]
    return f"the description has another {' and '.join(differing)}" if differing else None


def batches(queryset: QuerySet[Any]) -> Iterator[list[Any]]:
    """Yield the rows of a table by id, in batches. Rows added after the start are left out, so that it always ends."""
    last, newest = 0, queryset.order_by("-pk").values_list("pk", flat=True).first() or 0
    while batch := list(queryset.filter(pk__gt=last, pk__lte=newest).order_by("pk")[:BATCH]):
        yield batch
        last = batch[-1].pk
