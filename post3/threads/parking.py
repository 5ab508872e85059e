"""Parking: a worker thread that waits for a client gives up its place among the running threads and its connections.

Otherwise, as many slow uploads as there are threads block all other large bodies. In a test, 32 clients sending 4 KiB a
second stopped all uploads of two processes.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from django.db import connections

#: Seconds that a thread waits before it gives up its place. A client that sends at a useful rate is never that late.
PARK_AFTER = 0.25


class Place(Protocol):
    """A thread's place among the running threads."""

    def give_up(self) -> None: ...
    def take_again(self) -> None: ...


class _Local(threading.local):
    place: Place | None = None


_local = _Local()


def occupy(place: Place | None) -> None:
    """Set the place of the calling thread. None means that the thread has no place, as under other servers."""
    _local.place = place


@contextmanager
def parked() -> Iterator[None]:
    """Give up the calling thread's place and its idle database connections for the duration of a wait."""
    place = _local.place
    if place is None:
        yield
        return
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()
    place.give_up()
    try:
        yield
    finally:
        place.take_again()
