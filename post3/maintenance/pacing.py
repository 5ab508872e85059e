"""How long a worker rests between the steps of deleting, so that the disk is others' for most of the time.

For `REST` times as long as a step took; docs/performance.md has what that costs others. Where what waits to be deleted grows
all the same, because more is overwritten than is deleted, the rests are cut to a quarter every few seconds, down to
`REST_LESS`: else the store would grow under a steady load. They are long again once little waits. One large object makes what
waits jump, not grow.
"""

import time
from collections.abc import Callable

from ..storage.base import MIB

REST, REST_LESS, FASTER = 8.0, 0.1, 4.0
#: The part of that for steps of less than a MiB, which cost processors rather than the disk, and may be many.
SMALL_BLOB_REST = 0.25
#: Seconds between two looks at how much waits, and how many times as long as a look took at least: many rows take long to sum.
MIN_INTERVAL, INTERVAL_FACTOR = 5.0, 20.0
#: Bytes that may wait.
LITTLE = 256 * MIB


class Pace:
    """The rests of this process's worker. `waiting` tells how many bytes wait to be deleted."""

    def __init__(self, waiting: Callable[[], int], clock: Callable[[], float] = time.monotonic) -> None:
        self._waiting, self._clock = waiting, clock
        self._rest = REST
        self._next = 0.0
        self._before = 0

    def look(self) -> None:
        """Adapt to how much waits, if it is time for that."""
        began = self._clock()
        if began < self._next:
            return
        waiting = self._waiting()
        self._next = self._clock() + max(MIN_INTERVAL, INTERVAL_FACTOR * (self._clock() - began))
        if waiting <= LITTLE:
            self._rest = REST
        elif waiting > self._before > LITTLE:
            self._rest = max(REST_LESS, self._rest / FASTER)
        self._before = waiting

    def rest_after(self, seconds: float, size: int) -> float:
        """Return for how many seconds to rest after a step that took so long on so many bytes."""
        return seconds * self._rest * (1.0 if size >= MIB else SMALL_BLOB_REST)
