"""Worker threads whose results reach the event loop with as little as possible in between.

`ThreadPoolExecutor` behind `run_in_executor` makes two futures a call, one of them with a lock and a condition of its own,
and chains them. Here a call is a tuple in a queue and a future of the loop (docs/performance.md has the figures).
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
    """At most `size` threads, started as needed. All methods are for the event loop's own thread.

    Where both wait, calls of `run` and of `run_low_priority` take turns: a thousand downloads that want their next pieces would
    otherwise stand before every request.
    """

    def __init__(self, size: int, name: str) -> None:
        self._size, self._name = size, name
        self._calls: deque[Job] = deque()
        self._asides: deque[Job] = deque()
        #: A truth for each call that waits in either; a lie for a thread that shall end.
        self._tokens: SimpleQueue[bool] = SimpleQueue()
        self._aside_next = False
        self._threads: list[threading.Thread] = []
        self._unfinished = 0
        self._ended = False

    def run(self, function: Callable[..., Any], *arguments: Any) -> asyncio.Future[Any]:
        """Call a function on one of the threads; return its result as a future."""
        return self._run(self._calls, function, arguments)

    def run_low_priority(self, function: Callable[..., Any], *arguments: Any) -> asyncio.Future[Any]:
        """Do the same, for a call that is one of many of its kind."""
        return self._run(self._asides, function, arguments)

    def _run(self, calls: deque[Job], function: Callable[..., Any], arguments: tuple[Any, ...]) -> asyncio.Future[Any]:
        future = asyncio.get_running_loop().create_future()
        if self._ended:  # what closes an answer that was still going out at the end
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
        """Return how many threads run and how many are idle, and how many calls wait for one. For any thread."""
        threads, unfinished = len(self._threads), self._unfinished
        running = min(threads, unfinished)
        return {"running": running, "idle": threads - running, "waiting": unfinished - running}

    def has_room(self, queue: int) -> bool:
        """Whether fewer than so many calls wait."""
        return self._unfinished < self._size + queue

    def shutdown(self) -> None:
        """Let the threads end after what they are at; calls that wait are cancelled."""
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
            del job  # or the last call's objects live until the next

    def _take(self) -> Job:
        """Return a call that waits; there is one, because its token was taken."""
        while True:
            self._aside_next = not self._aside_next
            first, second = (self._asides, self._calls) if self._aside_next else (self._calls, self._asides)
            for calls in (first, second):
                with suppress(IndexError):  # empty, or another thread was quicker
                    return calls.popleft()

    def _finished(self) -> None:
        self._unfinished -= 1


class ParkingThreads:
    """At most `size` running threads, and up to `parked` more that wait for their clients (`parking.parked`).

    A thread that waits keeps its stack alone: neither a place nor a database connection. So slow clients, who need neither for
    most of their time, keep nobody out. All methods but `give_up` and `take_again` are for the event loop's own thread.
    """

    def __init__(self, size: int, parked: int, name: str) -> None:
        self._size, self._most, self._name = size, size + parked, name
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._running = self._waiting = self._count = 0
        self._ended = False

    def run(self, function: Callable[..., Any], *arguments: Any) -> asyncio.Future[Any]:
        """Call a function on one of the threads; return its result as a future."""
        future = asyncio.get_running_loop().create_future()
        with self._changed:
            self._jobs.append((future, function, arguments))
            self._offer_place()
        return future

    def counts(self) -> dict[str, int]:
        """Return the same as of `Threads`, and how many threads are parked or want to go on. For any thread."""
        with self._changed:
            parked = self._count - self._running - self._waiting
            return {"running": self._running, "idle": self._waiting, "parked": parked, "waiting": len(self._jobs)}

    def shutdown(self) -> None:
        """Let the threads end after what they are at; calls that wait are cancelled."""
        with self._changed:
            self._ended = True
            while self._jobs:
                self._jobs.popleft()[0].cancel()
            self._changed.notify_all()

    def is_busy(self) -> bool:
        """Whether a call runs, or is parked. For any thread."""
        with self._changed:
            return self._count > self._waiting

    def give_up(self) -> None:
        """Let another thread run instead of the calling one."""
        with self._changed:
            self._running -= 1
            self._offer_place()

    def take_again(self) -> None:
        """Wait for a place to go on."""
        with self._changed:
            while self._running >= self._size:
                self._changed.wait()
            self._running += 1

    def _offer_place(self) -> None:
        """Have a free place taken by a call that waits, or by a thread that wants to go on."""
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
                del job  # or the last call's objects live until the next
                with self._changed:
                    self._running -= 1
                    self._waiting += 1
        connections.close_all()

    def _next(self) -> Job | None:
        """Wait for a place and a call; None where the thread shall end. No more stay, with their connections, than may run.

        A thread counts as waiting when it comes here, so that none is started for a call that it will take.
        """
        with self._changed:
            self._changed.notify_all()  # of the place it had
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
    """Make a call and hand its outcome to the event loop; `finished` is called there too."""
    future, function, arguments = job
    result, error = None, None
    try:
        result = function(*arguments)
    except StopIteration as raised:  # no future takes it
        error = RuntimeError(f"{function!r} raised StopIteration")
        error.__cause__ = raised
    except BaseException as raised:
        error = raised
    with suppress(RuntimeError):  # the loop is closed: nobody waits any more
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
