"""Figures of the catalogue for the metrics: what is stored, what waits for the worker, and what the worker did.

A scrape must cost the same however much is stored. The worker therefore counts objects and bytes now and then and
stores the sums as rows of `WorkerState`. Backlogs are counted with small dedicated indexes, up to `COUNT_AT_MOST`. A
process queries again only after `REMEMBER_SECONDS`, because anybody may scrape.
"""

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import DatabaseError, InterfaceError
from django.db.models import Count, Min, QuerySet, Sum

from ..db.outages import log_burst
from ..db.sql import fetch
from ..models import Blob, MultipartUpload, Object, WorkerState
from ..storage.handler import storages

logger = logging.getLogger(__name__)

#: Maximum number of rows of a backlog that are counted.
COUNT_AT_MOST = 100_000
REMEMBER_SECONDS = 2.0
#: Hand-written, because Django 5.2 generates `SELECT FROM` for an aggregate over a slice of one column.
GARBAGE = """
SELECT count(*), coalesce(sum(size), 0) FROM (SELECT size FROM post3_blob WHERE released_at IS NOT NULL LIMIT %s) AS released
"""
#: Minimum interval between two counts of everything stored, in seconds and as a multiple of a count's duration.
MEASURE_SECONDS, MEASURE_SHARE = 300.0, 50.0
#: Prefixes of the names of `WorkerState` rows that hold sums; a colon and the storage class follow.
OBJECTS, BLOBS, DAMAGED = "objects", "blobs", "damaged"


@dataclass(frozen=True, slots=True)
class Amount:
    """A count, the bytes, and the time of counting in seconds since 1970."""

    count: int
    size: int
    updated: float


@dataclass(frozen=True, slots=True)
class Figures:
    #: Released blobs that still exist, their bytes, and the seconds since the oldest was released.
    garbage: int
    garbage_size: int
    garbage_age: float
    #: Blobs being written, or abandoned.
    pending: int
    uploads: int
    #: By ("objects", "blobs" or "damaged", storage class); empty if the worker has not counted yet.
    stored: dict[tuple[str, str], Amount]
    #: By the name of the work.
    work: dict[str, Amount]


def read_figures() -> Figures | None:
    """Return the catalogue's figures, at most `REMEMBER_SECONDS` old; None (logged) if the database is unreachable."""
    with _remembered.lock:
        if time.monotonic() >= _remembered.until:
            try:
                _remembered.figures = _read()
            except (DatabaseError, InterfaceError) as error:
                log_burst(logger, "figures", "No figures of the catalogue: %s: %s", type(error).__name__, error)
                _remembered.figures = None
            _remembered.until = time.monotonic() + REMEMBER_SECONDS
        return _remembered.figures


class _Remembered:
    def __init__(self) -> None:
        self.lock, self.until = threading.Lock(), 0.0
        self.figures: Figures | None = None


_remembered = _Remembered()


def _read() -> Figures:
    oldest = Blob.objects.filter(released_at__isnull=False).aggregate(oldest=Min("released_at"))["oldest"]
    garbage, garbage_size = fetch(GARBAGE, (COUNT_AT_MOST,))[0]
    stored: dict[tuple[str, str], Amount] = {}
    work: dict[str, Amount] = {}
    for state in WorkerState.objects.all():
        entry = Amount(state.count, state.size, state.updated_at.timestamp())
        kind, colon, storage_class = state.name.partition(":")
        if colon and kind in (OBJECTS, BLOBS, DAMAGED):
            stored[kind, storage_class] = entry
        else:
            work[state.name] = entry
    return Figures(
        garbage=garbage,
        garbage_size=int(garbage_size),
        garbage_age=max(0.0, (datetime.now(UTC) - oldest).total_seconds()) if oldest else 0.0,
        pending=_count(Blob.objects.filter(state=Blob.State.PENDING)),
        uploads=_count(MultipartUpload.objects.all()),
        stored=stored,
        work=work,
    )


def _count(rows: QuerySet[Any]) -> int:
    return rows.values("pk")[:COUNT_AT_MOST].count()


def measure_storage_if_due() -> bool:
    """Count everything stored, unless a worker did so recently; return whether it was done. Raises database errors."""
    latest = WorkerState.objects.filter(name__startswith=f"{OBJECTS}:").order_by("-updated_at").first()
    if latest is not None and timedelta(0) <= datetime.now(UTC) - latest.updated_at < timedelta(seconds=_measuring.pause):
        return False
    measure_storage()
    return True


class _Measuring:
    """The pause of this process between two counts, so that counting takes no more than a fiftieth of the time."""

    pause = MEASURE_SECONDS


_measuring = _Measuring()


def measure_storage() -> None:
    """Count objects and bytes by storage class and store the sums for the metrics. Reads all rows of both tables."""
    began = time.monotonic()
    for name, count, size in _sums():
        WorkerState.objects.update_or_create(name=name, defaults={"count": count, "size": size})
    _measuring.pause = max(MEASURE_SECONDS, MEASURE_SHARE * (time.monotonic() - began))


def _sums() -> Iterator[tuple[str, int, int]]:
    """Yield name, count and bytes of each kind and storage class that is configured, counted before, or found."""
    known = {state.name for state in WorkerState.objects.all()}
    sums = {f"{kind}:{storage_class}": (0, 0) for kind in (OBJECTS, BLOBS, DAMAGED) for storage_class in storages.classes()}
    sums |= {name: (0, 0) for name in known if name.startswith((f"{OBJECTS}:", f"{BLOBS}:", f"{DAMAGED}:"))}
    both = {"count": Count("pk"), "bytes": Sum("size")}
    for row in Object.objects.filter(is_delete_marker=False).order_by().values("storage_class").annotate(**both):
        sums[f"{OBJECTS}:{row['storage_class']}"] = row["count"], row["bytes"]
    for kind, state in ((BLOBS, Blob.State.STORED), (DAMAGED, Blob.State.DAMAGED)):
        for row in Blob.objects.filter(state=state).order_by().values("storage_class").annotate(**both):
            sums[f"{kind}:{row['storage_class']}"] = row["count"], row["bytes"]
    for name, (count, size) in sums.items():
        yield name, count, size
