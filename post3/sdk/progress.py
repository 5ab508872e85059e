"""Progress of a transfer, told by s3transfer piece by piece, summed up for the caller."""

import threading
from collections.abc import Callable
from typing import Any

from s3transfer.subscribers import BaseSubscriber

#: Called with the bytes that travelled so far, and with how many there are: None while a stream's length is unknown.
Progress = Callable[[int, int | None], object]


class Reporter(BaseSubscriber):
    """Sums up what a transfer's threads report; tells one sum at a time.

    A part that is sent again takes back what it had reported, so that the last sum is the object's size. What the callback
    raises ends the transfer.
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
        """Tell the end of a transfer of nothing, of which s3transfer reports nothing."""
        if not self._told:
            self._progress(0, 0)
