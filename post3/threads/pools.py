"""Worker threads that return results to the event loop with as little overhead as possible.

`ThreadPoolExecutor` with `run_in_executor` creates and chains two futures per call, one of them with a lock and a
condition. Here, a call is a tuple in a queue and one of the loop's futures (docs/performance.md has the figures).
"""

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any

from django.db import connections

from . import parking

Job = tuple[asyncio.Future[Any], Callable[..., Any], tuple[Any, ...]]


class Threads:
    """A pool of at most `size` threads, started as needed. Call its methods only in the event loop's thread.

    If both are waiting, calls from `run` and from `run_low_priority` take turns. Otherwise, a thousand downloads
    waiting for their next pieces would precede every request.

    Without `keeps_connections`, a thread closes the database connections that a call has opened, as few calls need one.
    """

    def __init__(self, size: int, name: str, *, keeps_connections: bool = True) -> None:
        self._size, self._name, self._keeps_connections = size, name, keeps_connections
        self._calls: deque[Job] = deque()
        self._asides: deque[Job] = deque()
        #: True for each waiting call in either queue; False stops a thread.
        self._tokens: SimpleQueue[bool] = SimpleQueue()
        self._aside_next = False
        self._threads: list[threading.Thread] = []
        self._unfinished = 0
        self._ended = False

    def run(self, function: Callable[..., Any], *arguments: Any) -> asyncio.Future[Any]:
        """Call a function on one of the threads. Return a future for its result."""
        return self._run(self._calls, function, arguments)

    def run_low_priority(self, function: Callable[..., Any], *arguments: Any) -> asyncio.Future[Any]:
        """Do the same as `run`, for one of many similar calls that must not delay the calls from `run`."""
        return self._run(self._asides, function, arguments)

    def _run(self, calls: deque[Job], function: Callable[..., Any], arguments: tuple[Any, ...]) -> asyncio.Future[Any]:
        future = asyncio.get_running_loop().create_future()
        if self._ended:  # a call that closes a response interrupted by the shutdown
            _call((future, function, arguments), None)
            return future
        self._unfinished += 1
        calls.append((future, function, arguments))
        self._tokens.put(True)
        if self._unfinished > len(self._threads) < self._size:
            thread = threading.Thread(target=self._work, name=f"{self._name}-{len(self._threads)}")
            self._threads.append(thread)
            thread.start()
        return future

    def counts(self) -> dict[str, int]:
        """Return the numbers of running and idle threads and of waiting calls. May be called from any thread."""
        threads, unfinished = len(self._threads), self._unfinished
        running = min(threads, unfinished)
        return {"running": running, "idle": threads - running, "waiting": unfinished - running}

    def has_room(self, queue: int) -> bool:
        """Whether fewer than `queue` calls are waiting."""
        return self._unfinished < self._size + queue

    def shutdown(self) -> None:
        """Stop the threads after their current calls, and cancel waiting calls."""
        self._ended = True
        with suppress(Empty):
            while True:
                if self._tokens.get_nowait():
                    self._take()[0].cancel()
        for _ in self._threads:
            self._tokens.put(False)

    def _work(self) -> None:
        while self._tokens.get():
            job = self._take()
            _call(job, self._finished)
            del job  # otherwise the call's objects would live until the next call
            if not self._keeps_connections:
                connections.close_all()

    def _take(self) -> Job:
        """Return a waiting call. There is always one, because the caller has taken its token."""
        while True:
            self._aside_next = not self._aside_next
            first, second = (self._asides, self._calls) if self._aside_next else (self._calls, self._asides)
            for calls in (first, second):
                with suppress(IndexError):  # empty, or another thread was faster
                    return calls.popleft()

    def _finished(self) -> None:
        self._unfinished -= 1


class ParkingThreads:
    """A pool of at most `size` running threads, and up to `parked` more that wait for their clients (`parking.parked`).

    A parked thread keeps only its stack, without a place or a database connection. So slow clients, which need neither
    most of the time, do not block others. Call all methods except `give_up` and `take_again` only in the event loop's
    thread.
    """

    def __init__(self, size: int, parked: int, name: str) -> None:
        self._size, self._most, self._name = size, size + parked, name
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._running = self._waiting = self._count = 0
        self._ended = False

    def run(self, function: Callable[..., Any], *arguments: Any) -> asyncio.Future[Any]:
        """Call a function on one of the threads. Return a future for its result."""
        future = asyncio.get_running_loop().create_future()
        with self._changed:
            self._jobs.append((future, function, arguments))
            self._offer_place()
        return future

    def counts(self) -> dict[str, int]:
        """Return the same as `Threads.counts`, and the number of parked or resuming threads. For any thread."""
        with self._changed:
            parked = self._count - self._running - self._waiting
            return {"running": self._running, "idle": self._waiting, "parked": parked, "waiting": len(self._jobs)}

    def shutdown(self) -> None:
        """Stop the threads after their current calls, and cancel waiting calls."""
        with self._changed:
            self._ended = True
            while self._jobs:
                self._jobs.popleft()[0].cancel()
            self._changed.notify_all()

    def is_busy(self) -> bool:
        """Whether any call is running or parked. May be called from any thread."""
        with self._changed:
            return self._count > self._waiting

    def give_up(self) -> None:
        """Give the calling thread's place to another thread."""
        with self._changed:
            self._running -= 1
            self._offer_place()

    def take_again(self) -> None:
        """Wait until the calling thread has a place again."""
        with self._changed:
            while self._running >= self._size:
                self._changed.wait()
            self._running += 1

    def _offer_place(self) -> None:
        """Offer a free place to a waiting call, or to a thread that wants to resume."""
        self._changed.notify_all()
        if self._waiting < min(len(self._jobs), self._size - self._running) and self._count < self._most:
            self._count += 1
            self._waiting += 1
            threading.Thread(target=self._work, name=f"{self._name}-{self._count}").start()

    def _work(self) -> None:
        parking.occupy(self)
        while (job := self._next()) is not None:
            try:
                _call(job, None)
            finally:
                del job  # otherwise the call's objects would live until the next call
                with self._changed:
                    self._running -= 1
                    self._waiting += 1
        connections.close_all()

    def _next(self) -> Job | None:
        """Wait for a place and a call. Return None if the thread must end: at most `size` keep running or waiting.

        The calling thread already counts as waiting, so that no other thread is started for the call that it will take.
        """
        with self._changed:
            self._changed.notify_all()  # the thread's place is free
            try:
                while not (self._jobs and self._running < self._size):
                    if self._ended or self._waiting + self._running > self._size:
                        self._count -= 1
                        return None
                    self._changed.wait()
                self._running += 1
                return self._jobs.popleft()
            finally:
                self._waiting -= 1


def _call(job: Job, finished: Callable[[], None] | None) -> None:
    """Make a call and pass its result or error to the event loop, where `finished` is called too."""
    future, function, arguments = job
    result: Any = None
    error: BaseException | None = None
    try:
        result = function(*arguments)
    except StopIteration as raised:  # futures reject it
        error = RuntimeError(f"{function!r} raised StopIteration")
        error.__cause__ = raised
    except BaseException as raised:
        error = raised
    with suppress(RuntimeError):  # the loop is closed, so nothing waits for the result
        future.get_loop().call_soon_threadsafe(_finish, future, result, error, finished)


def _finish(future: asyncio.Future[Any], result: Any, error: BaseException | None, finished: Callable[[], None] | None) -> None:
    if finished is not None:
        finished()
    if future.cancelled():
        return
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
