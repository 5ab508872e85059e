"""Scrub: read all stored bytes in an endless cycle at a set rate, to find damage before other copies are gone.

Each call works for at most about a second, so that the worker's other work waits no longer than that. The position in
the cycle is the row "scrub" of `WorkerState`. The worker that last wrote that row continues, even within a blob. Other
workers only watch, and take over if the row has not been written for LEASE seconds. The rate is therefore that of all
workers together, on either database, without a lock that is held while bytes are read.
"""

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db.models import F

from ..conf import conf
from ..models import Blob, WorkerState
from ..services.damage import Sum, mark_damaged, ref_of, refuse_absence
from ..storage.base import PIECE, BlobDamaged, BlobMissing, Pieces, StorageError
from ..storage.handler import storages
from ..visible import visible
from .rows import damaged_rows

logger = logging.getLogger(__name__)

SCRUB, DAMAGED = "scrub", "damaged"
#: The row of `WorkerState` with the id of the object whose row was verified last; 0 while blobs are read.
ROWS = "scrub rows"
#: Maximum seconds of one slice, excluding the piece in progress; maximum seconds for which unused allowance is kept.
SLICE, KEPT = 1.0, 30.0
#: Bytes charged for each blob in addition to its size, because it costs a statement or two.
BLOB_COST = 16 << 10
#: Seconds after which another worker takes over.
LEASE = 120.0


@dataclass(slots=True)
class Reading:
    """A blob that this process has partly read."""

    blob: Blob
    pieces: Pieces
    sum: Sum


class Scrubber:
    """This process's part of scrubbing."""

    def __init__(self) -> None:
        #: When this process last wrote the row; None if another process may have written it since.
        self._written: datetime | None = None
        self._reading: Reading | None = None

    def scrub(self) -> int:
        """Read one slice if it is this process's turn. Return the number of bytes read. Raises database errors."""
        rate = conf.SCRUB_BYTES_PER_SECOND
        if not rate:
            return 0
        state, _ = WorkerState.objects.get_or_create(name=SCRUB)
        now = datetime.now(UTC)
        age = (now - state.updated_at).total_seconds()
        if state.updated_at != self._written:
            self._let_go()
            if age < LEASE and state.size:
                return 0
        allowance = int(rate * min(age, KEPT))
        # Wait until a piece, or a second's worth, may be read: a worker with much other work calls often.
        if allowance < min(rate, PIECE) or not self._write(state, now):
            return 0
        state.updated_at = now
        if (rows := WorkerState.objects.filter(name=ROWS).first()) is not None and rows.position:
            size = _scrub_rows(rows.position, allowance)
            self._write(state, datetime.now(UTC), size=F("size") + size)
            return size
        started, size, done, position = time.monotonic(), 0, 0, state.position
        while (left := allowance - size - done * BLOB_COST) > 0 and time.monotonic() - started < SLICE:
            if self._reading is None and not self._begin(position):
                position = 0  # the cycle is complete, except for the bytes in rows
                size += _scrub_rows(0, left)
                break
            assert self._reading is not None
            position = self._reading.blob.pk - 1
            try:
                read = self._read_piece(min(left, PIECE))
            except StorageError as error:
                logger.error("Scrubbing is not possible: %s", error)
                break
            size += read
            if not read:
                position += 1
                done += 1
        self._write(state, datetime.now(UTC), position=position, count=F("count") + done, size=F("size") + size)
        return size

    def _write(self, state: WorkerState, now: datetime, **changed: Any) -> bool:
        """Write the row unless another process has written it. Return whether it was written."""
        ours = WorkerState.objects.filter(pk=state.pk, updated_at=state.updated_at)
        written = bool(ours.update(updated_at=now, **changed))
        self._written = now if written else None
        if not written:
            self._let_go()
        return written

    def _begin(self, after: int) -> bool:
        """Start reading the next stored blob after that id. Return whether there is one."""
        stored = Blob.objects.filter(pk__gt=after, state=Blob.State.STORED, storage_class__in=storages.classes())
        blob = stored.order_by("pk").first()
        if blob is None:
            return False
        pieces = storages[blob.storage_class].open(ref_of(blob), 0, blob.size)
        self._reading = Reading(blob, pieces, Sum(blob))
        return True

    def _read_piece(self, most: int) -> int:
        """Read a piece of at most `most` bytes and add it to the checksum; after the last piece, compare.

        Return the size of the piece; 0: done. Raises StorageError if the storage as a whole fails.
        """
        reading = self._reading
        assert reading is not None
        try:
            read = reading.pieces.reserve(most)
            if read is not None:
                reading.sum.update(data := read())
                return len(data)
            reading.sum.check()
        except StorageError as error:
            self._let_go()
            if not isinstance(error, BlobDamaged) or isinstance(error, BlobMissing):
                refuse_absence(storages[reading.blob.storage_class])
            if isinstance(error, BlobDamaged):
                _found(reading.blob, error)
            else:
                logger.warning("Blob %s could not be scrubbed and is skipped in this cycle: %s", reading.blob.pk, error)
        self._let_go()
        return 0

    def _let_go(self) -> None:
        if self._reading is not None:
            self._reading.pieces.close()
            self._reading = None


def _scrub_rows(after: int, allowance: int) -> int:
    """Verify bytes in rows of objects, at most about `allowance` of them; return how many were read."""
    started, size, position = time.monotonic(), 0, 0
    for object_id, read, row, wrong in damaged_rows(after, allowance):
        size += read
        if wrong is not None:
            logger.error(
                "The bytes in the row of object %s are damaged (%s): %s", object_id, wrong, visible(f"{row.bucket}/{row.key}")
            )
            _count_damaged(read)
        if size >= allowance or time.monotonic() - started > SLICE:
            position = object_id
            break
    if position:
        WorkerState.objects.update_or_create(name=ROWS, defaults={"position": position})
    elif after:
        WorkerState.objects.filter(name=ROWS).update(position=0)
    return size


def _found(blob: Blob, error: BlobDamaged) -> None:
    """Mark a blob as damaged, unless it was collected while it was read."""
    if mark_damaged(blob, error):
        _count_damaged(blob.size)


def _count_damaged(size: int) -> None:
    WorkerState.objects.get_or_create(name=DAMAGED)
    WorkerState.objects.filter(name=DAMAGED).update(count=F("count") + 1, size=F("size") + size, updated_at=datetime.now(UTC))


_scrubber = Scrubber()


def scrub() -> int:
    """Read this process's next slice; return the number of bytes read. Raises database errors."""
    return _scrubber.scrub()
