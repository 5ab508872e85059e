"""Progress of a transfer, reported by s3transfer piece by piece and summed for the caller."""

import threading
from collections.abc import Callable
from typing import Any

from s3transfer.subscribers import BaseSubscriber

#: Called with the number of bytes transferred so far and the total, which is None while a stream's length is unknown.
Progress = Callable[[int, int | None], object]


class Reporter(BaseSubscriber):
    """A subscriber that sums the reports of a transfer's threads and calls back with one sum at a time.

    When a part is sent again, its previous reports are subtracted, so the last sum is the object's size. An exception
    from the callback ends the transfer.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress, self._lock = progress, threading.Lock()
        self._done = 0
        self._told = False

    def on_progress(self, future: Any, bytes_transferred: int, **_: Any) -> None:
        with self._lock:
            self._done += bytes_transferred
            self._told = True
            self._progress(self._done, future.meta.size)

    def finish(self) -> None:
        """Report the end of an empty transfer, for which s3transfer reports nothing."""
        if not self._told:
            self._progress(0, 0)
