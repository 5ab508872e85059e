"""Choose how long a worker rests between deletion steps, so that the disk is free for other work most of the time.

A rest lasts `REST` times as long as the step took; docs/performance.md has the cost for other work. If the backlog
still grows, because objects are overwritten faster than they are deleted, the rests are cut to a quarter every few
seconds, down to `REST_LESS`: otherwise the store would grow under a steady load. The rests are long again once the
backlog is small. A single large object makes the backlog jump, which does not count as growth.
"""

import time
from collections.abc import Callable

from ..storage.base import MIB

REST, REST_LESS, FASTER = 8.0, 0.1, 4.0
#: Factor for steps of less than 1 MiB, which cost CPU time rather than disk time and may be numerous.
SMALL_BLOB_REST = 0.25
#: Minimum interval between two checks of the backlog, in seconds and as a multiple of a check's duration, because
#: summing many rows is slow.
MIN_INTERVAL, INTERVAL_FACTOR = 5.0, 20.0
#: A backlog of up to this many bytes is small.
LITTLE = 256 * MIB


class Pace:
    """The rests of this process's worker. `waiting` returns how many bytes wait to be deleted."""

    def __init__(self, waiting: Callable[[], int], clock: Callable[[], float] = time.monotonic) -> None:
        self._waiting, self._clock = waiting, clock
        self._rest = REST
        self._next = 0.0
        self._before = 0

    def look(self) -> None:
        """Adapt to the backlog if the interval has passed."""
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
        """Return how many seconds to rest after a step that took `seconds` for `size` bytes."""
        return seconds * self._rest * (1.0 if size >= MIB else SMALL_BLOB_REST)
