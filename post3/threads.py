"""Worker threads whose results reach the event loop with as little as possible in between.

`ThreadPoolExecutor` behind `run_in_executor` makes two futures a call, one of them with a lock and a condition of its own,
and chains them. Here a call is a tuple in a queue and a future of the loop (docs/performance.md has the figures).
"""

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

Job = tuple[asyncio.Future[Any], Callable[..., Any], tuple[Any, ...]]


class Threads:
    """At most `size` threads, started as needed. All methods are for the event loop's own thread."""

    def __init__(self, size: int, name: str) -> None:
        self._size, self._name = size, name
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._unfinished = 0

    def run(self, function: Callable[..., Any], *arguments: Any) -> asyncio.Future[Any]:
        """Call a function on one of the threads; return its result as a future."""
        future = asyncio.get_running_loop().create_future()
        self._unfinished += 1
        self._jobs.put((future, function, arguments))
        if self._unfinished > len(self._threads) < self._size:
            thread = threading.Thread(target=self._work, name=f"{self._name}-{len(self._threads)}")
            self._threads.append(thread)
            thread.start()
        return future

    def shutdown(self) -> None:
        """Let the threads end after what they are at; calls that wait are cancelled."""
        while not self._jobs.empty():
            job = self._jobs.get()
            if job is not None:
                job[0].cancel()
        for _ in self._threads:
            self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            future, function, arguments = job
            result, error = None, None
            try:
                result = function(*arguments)
            except BaseException as raised:
                error = raised
            try:
                future.get_loop().call_soon_threadsafe(self._finish, future, result, error)
            except RuntimeError:  # the loop is closed: nobody waits any more
                return
            del job, future, function, arguments, result, error  # or the last call's objects live until the next

    def _finish(self, future: asyncio.Future[Any], result: Any, error: BaseException | None) -> None:
        self._unfinished -= 1
        if future.cancelled():
            return
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)
