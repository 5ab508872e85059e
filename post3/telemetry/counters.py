"""Count requests in each server process, in memory that the others can read, so that any process can report the sum.

A process's numbers are one array of doubles with a fixed layout: gauges, counters of the process, then a row for each
S3 operation (responses by status, a histogram of seconds, bytes, interrupted responses). A single process keeps the
array in its own memory. If processes share a directory, each maps a file in it (`telemetry/shared_memory.py`). After a
process ends, its counters still count but its gauges do not, and the next process to start continues with its file.

The multiprocess mode of prometheus_client is not used: it costs seven times as much per request, its files accumulate,
and its switch affects the whole process, which belongs to the project that post3 is an app of (D36).
"""

import logging
import os
import threading
import time
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from weakref import WeakSet

from django.db.backends.signals import connection_created

from ..conf import conf
from . import shared_memory

logger = logging.getLogger("post3")

#: Upper bounds of the histogram's buckets, in seconds; one more bucket counts longer requests.
BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
#: Gauges: the current state of a process. Threads are by pool, with the names that `Threads.counts` uses.
POOLS = {
    "requests": ("running", "idle", "waiting"),
    "uploads": ("running", "idle", "parked", "waiting"),
    "reads": ("running", "idle", "waiting"),
    "console": ("running", "idle", "waiting"),
}
GAUGES = ("in_flight", "connections", *(f"{pool} {state}" for pool, states in POOLS.items() for state in states))
IN_FLIGHT, CONNECTIONS = 0, 1
#: Position of the count of requests refused by their key's rate limit.
LIMITED = len(GAUGES)
#: Position of the first row.
ROWS = LIMITED + 1
#: Seconds between two samples of values that change without a report: threads and connections.
SAMPLE_SECONDS = 1.0
#: The operation of requests that were refused before their operation was known.
UNKNOWN = "Unknown"


@dataclass(slots=True)
class Row:
    """The sums of one operation."""

    #: Responses by status; 0 stands for requests without a response.
    statuses: dict[int, int]
    #: Responses in each bucket and, last, those beyond the last bound; not cumulative.
    buckets: list[int]
    seconds: float
    received: int
    sent: int
    broken_off: int


@dataclass(slots=True)
class Sums:
    """The sums of all processes that share a directory."""

    #: How many of them are alive.
    processes: int
    #: By the names of `GAUGES`; only of live processes.
    gauges: dict[str, int]
    limited: int
    rows: dict[str, Row]


class ProcessCounters:
    """The numbers of this process. `counts` is the only instance; any thread may call any method."""

    #: Number of resets, by which the sampling thread recognizes that it is obsolete.
    _generation = 0

    def __init__(self) -> None:
        self._directory = ""
        self._watched: list[Callable[[], Mapping[str, int]]] = []
        self._forget()
        os.register_at_fork(after_in_child=self._forget)

    def _forget(self) -> None:
        """Reset: initially, and in a forked child, which must not count in its parent's memory."""
        self._lock = threading.Lock()
        self._numbers: memoryview[float] | None = None
        self._shared = False
        self._generation += 1

    def declare(self, operations: Iterable[str], statuses: Iterable[int]) -> None:
        """Declare the operations and their possible statuses. Call once, before anything is counted."""
        self._operations = (*sorted(operations), UNKNOWN)
        self._statuses = (*sorted(statuses), 0)
        self._columns = {status: column for column, status in enumerate(self._statuses)}
        self._none = len(self._statuses) - 1
        self._first_bucket = len(self._statuses)
        self._tail = self._first_bucket + len(BUCKETS) + 1
        width = self._tail + 4
        self._rows = {name: ROWS + width * place for place, name in enumerate(self._operations)}
        self._unknown = self._rows[UNKNOWN]
        self._size = 8 * (ROWS + width * len(self._operations))
        layout = repr((GAUGES, self._operations, self._statuses, BUCKETS))
        self._prefix = f"{shared_memory.PREFIX}{sha256(layout.encode()).hexdigest()[:12]}-"

    def share(self, directory: str) -> None:
        """Set where this process and its forks count together, unless POST3_METRICS_DIR is set."""
        self._directory = directory

    def watch(self, look: Callable[[], Mapping[str, int]]) -> None:
        """Register a function that returns gauges, by the names of `GAUGES`; it is called before they are reported."""
        self._watched.append(look)

    def join(self) -> None:
        """Join the processes that count, before there is anything to count."""
        with self._lock:
            if self._numbers is None and conf.METRICS:
                self._take()

    # --- Counting: a few microseconds of every request ---------------------------------------------------------------

    def begin(self) -> None:
        """Count the start of a request."""
        with self._lock:
            numbers = self._numbers or self._take()
            numbers[IN_FLIGHT] += 1.0

    def finish(self, operation: str, status: int, seconds: float, received: int, sent: int, whole: bool) -> None:
        """Count the end of a request. `received`, `sent`: bytes of the bodies; `whole`: whether everything was sent."""
        row = self._rows.get(operation, self._unknown)
        column = self._columns.get(status, self._none)
        bucket = row + self._first_bucket + bisect_left(BUCKETS, seconds)
        tail = row + self._tail
        with self._lock:
            numbers = self._numbers or self._take()
            numbers[IN_FLIGHT] -= 1.0
            numbers[row + column] += 1.0
            numbers[bucket] += 1.0
            numbers[tail] += seconds
            if received:
                numbers[tail + 1] += received
            if sent:
                numbers[tail + 2] += sent
            if not whole:
                numbers[tail + 3] += 1.0

    def refused(self) -> None:
        """Count a request refused by its key's limit."""
        with self._lock:
            numbers = self._numbers or self._take()
            numbers[LIMITED] += 1.0

    # --- Reading -----------------------------------------------------------------------------------------------------

    def read(self) -> Sums:
        """Return the sums of all processes."""
        with self._lock:
            own = self._numbers or self._take()
        self._sample()
        processes, total = 1, array("d", own.tobytes())
        if self._shared:
            processes, total = 0, array("d", bytes(self._size))
            for alive, numbers in shared_memory.read(self._place(), self._prefix, self._size):
                processes += alive
                for place in range(0 if alive else len(GAUGES), len(numbers)):
                    total[place] += numbers[place]
        gauges = {name: int(total[place]) for place, name in enumerate(GAUGES)}
        return Sums(processes, gauges, int(total[LIMITED]), {name: self._row(total, name) for name in self._operations})

    def _row(self, numbers: "array[float]", name: str) -> Row:
        row, tail = self._rows[name], self._rows[name] + self._tail
        statuses = {status: int(numbers[row + column]) for status, column in self._columns.items()}
        buckets = [int(number) for number in numbers[row + self._first_bucket : tail]]
        return Row(statuses, buckets, numbers[tail], *(int(number) for number in numbers[tail + 1 : tail + 4]))

    def _sample(self, generation: int | None = None) -> None:
        """Sample values that are not reported. `generation`: the sampling thread's, which may be obsolete meanwhile."""
        seen = {"connections": open_connections()}
        for look in self._watched:
            seen.update(look())
        with self._lock:
            if generation not in (None, self._generation):
                return
            numbers = self._numbers or self._take()
            for name, value in seen.items():
                numbers[GAUGES.index(name)] = value

    def _sample_again_and_again(self, generation: int) -> None:
        while generation == self._generation:
            self._sample(generation)
            time.sleep(SAMPLE_SECONDS)

    # --- Memory ------------------------------------------------------------------------------------------------------

    def _place(self) -> str:
        return conf.METRICS_DIR or self._directory

    def _take(self) -> "memoryview[float]":
        """Get memory for this process. The caller must hold the lock."""
        place = self._place()
        if place:
            try:
                self._numbers = shared_memory.take(place, self._prefix, self._size)
            except OSError as error:
                logger.error("Processes cannot count together in %s, so each tells its own numbers: %s", place, error)
            else:
                for gauge in range(len(GAUGES)):  # left by the previous process
                    self._numbers[gauge] = 0.0
                self._shared = True
                sampling = threading.Thread(target=self._sample_again_and_again, args=(self._generation,), daemon=True)
                sampling.start()
                return self._numbers
        self._numbers = memoryview(bytearray(self._size)).cast("d")
        return self._numbers


#: The connection objects of all threads that have ever connected.
_connections: "WeakSet[object]" = WeakSet()
_connections_lock = threading.Lock()


def _opened(connection: object, **kwargs: object) -> None:
    with _connections_lock:
        _connections.add(connection)


connection_created.connect(_opened)


def open_connections() -> int:
    """Return how many database connections this process has open."""
    with _connections_lock:
        return sum(getattr(connection, "connection", None) is not None for connection in _connections)


counts = ProcessCounters()
