"""What a worker thread gives back while it waits for a client: its place among the running threads and its database connection.

Otherwise as many slow uploads as there are threads keep everybody else's large bodies out: 32 clients that send 4 KiB a second
stopped all uploads of two processes.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from django.db import connections

#: Seconds a thread waits before it gives its place away: a client that sends at a useful rate is never that late.
PARK_AFTER = 0.25


class Place(Protocol):
    """A thread's place among the running ones."""

    def give_up(self) -> None: ...
    def take_again(self) -> None: ...


class _Local(threading.local):
    place: Place | None = None


_local = _Local()


def occupy(place: Place | None) -> None:
    """Tell which place the calling thread has; None: none, as of threads that a server of another kind made."""
    _local.place = place


@contextmanager
def parked() -> Iterator[None]:
    """Give up the calling thread's place and its idle database connections while something is waited for."""
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
