"""Handle outages of the catalogue's database, and its return.

Threads keep their connections, and a restart of the database server breaks all of them. Therefore:
 - A connection that ended while idle is found by a check of its socket, and replaced before a request uses it.
 - A break that one thread finds is known to all: a connection older than the last break is dropped before use.
 - A read is repeated once on a new connection if the old one turns out to be dead.
 - While the database cannot be reached, one thread at a time tries, and all other requests are refused immediately.
   Otherwise a host that drops packets would hold every thread for the whole connection timeout. The next try is a
   second later, or sooner if the last one failed quickly, so that a database that is back is noticed.

An outage causes thousands of identical errors; `log_burst` writes one line of each kind every ten seconds.
"""

import logging
import select
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from django.db import DEFAULT_DB_ALIAS, Error, InterfaceError, OperationalError, connections

from ..errors import ServiceUnavailable

T = TypeVar("T")

#: Seconds between two attempts to reach an unreachable database, and the interval as a multiple of the time that the
#: last attempt took. A refused connection takes less than a millisecond.
SHORTEST_INTERVAL, LONGEST_INTERVAL, INTERVAL_SHARE = 0.05, 1.0, 10.0
#: Seconds that requests wait for the outcome of another thread's attempt; a database that is back responds sooner.
MOMENT = 0.5
#: Seconds that a client is asked to wait before a retry.
RETRY_AFTER = 2
#: Seconds in which errors of one kind are logged as one line.
BURST = 10.0


class Outage:
    """The state of the database as known to this process. `breaks` is read without the lock: it may lag a request."""

    def __init__(self) -> None:
        self.breaks = 0
        self._is_on = False
        self._next_try = self._try_began = 0.0
        self._trying = False
        self._changed = threading.Condition()

    def note_break(self) -> None:
        with self._changed:
            self.breaks += 1

    def may_try(self) -> bool:
        """Whether the caller may connect: in an outage, one thread at a time. Others wait a moment for its outcome."""
        with self._changed:
            if self._is_on and self._trying:
                self._changed.wait_for(lambda: not self._trying, max(0.0, self._try_began + MOMENT - time.monotonic()))
            if not self._is_on:
                return True
            if self._trying or time.monotonic() < self._next_try:
                return False
            self._trying, self._try_began = True, time.monotonic()
            return True

    def note_try(self, reached: bool, seconds: float) -> None:
        """Note the outcome of an attempt, and how long it took."""
        interval = min(max(SHORTEST_INTERVAL, INTERVAL_SHARE * seconds), LONGEST_INTERVAL)
        with self._changed:
            self._is_on, self._trying, self._next_try = not reached, False, time.monotonic() + interval
            self._changed.notify_all()


_outage = Outage()


def unavailable() -> ServiceUnavailable:
    """Return the error that asks a client to retry."""
    return ServiceUnavailable(retry_after=RETRY_AFTER)


def begin(database: Any) -> None:
    """Drop the calling thread's connection before a request if it is too old or must be broken."""
    breaks = _outage.breaks
    if database.__dict__.get("post3_breaks", breaks) != breaks and not database.in_atomic_block:
        database.close()
    database.post3_breaks = breaks
    database.close_if_unusable_or_obsolete()


def end(database: Any) -> bool:
    """Drop the calling thread's connection if it turned out to be broken; return whether it was."""
    if database.connection is None or database.in_atomic_block:
        return False
    had_errors = database.errors_occurred
    database.close_if_unusable_or_obsolete()
    if database.connection is None and had_errors:
        _outage.note_break()
        database.post3_breaks = _outage.breaks
        return True
    return False


def hung_up(database: Any) -> bool:
    """Whether PostgreSQL ended this connection while it was idle. Checks the socket, without a round trip.

    An idle server sends nothing, so a readable socket holds either its last message and the end, or a rare notice (of a
    reloaded setting, say). A notice is consumed; only the end shows again at the next poll, as an error.
    """
    if database.vendor != "postgresql":
        return False
    wire = database.connection.pgconn
    try:
        look = select.poll()
        look.register(wire.socket, select.POLLIN)
        while look.poll(0):
            wire.consume_input()
    except database.Database.Error:
        return True
    return False


def reach() -> None:
    """Connect the calling thread if necessary. Raises ServiceUnavailable, immediately during a known outage."""
    database = connections[DEFAULT_DB_ALIAS]
    if database.connection is not None and not database.in_atomic_block and hung_up(database):
        database.close()
    if database.connection is not None:
        return
    if not _outage.may_try():
        raise unavailable()
    reached, began = False, time.monotonic()
    try:
        database.ensure_connection()
        reached = True
    except Error as error:
        log_burst(logging.getLogger("post3"), "reach", "The database cannot be reached: %s", error)
        raise unavailable() from error
    finally:
        _outage.note_try(reached, time.monotonic() - began)


def retry_read(work: Callable[[], T]) -> T:
    """Do work that only reads; if the thread's connection turns out to be dead, repeat the work once on a new one."""
    try:
        return work()
    except (OperationalError, InterfaceError):
        if not end(connections[DEFAULT_DB_ALIAS]):
            raise
        return work()


class _Bursts:
    """The time when each kind of error was last logged, and the number of errors since."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kinds: dict[str, tuple[float, int]] = {}

    def count(self, kind: str) -> int | None:
        """Return how many of this kind were suppressed since the last line; None: suppress this one, too."""
        now = time.monotonic()
        with self._lock:
            written, left_out = self._kinds.get(kind, (-BURST, 0))
            if now - written < BURST:
                self._kinds[kind] = written, left_out + 1
                return None
            self._kinds[kind] = now, 0
            return left_out


_bursts = _Bursts()


def log_burst(logger: logging.Logger, kind: str, message: str, *values: Any) -> None:
    """Log an error as one line; others of its kind in the next ten seconds are only counted in the next line."""
    left_out = _bursts.count(kind)
    if left_out is not None:
        text = " ".join((message % values).split())
        logger.error("%s%s", text, f" ({left_out} more of this kind before)" if left_out else "")
