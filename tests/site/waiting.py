"""Helpers for tests of threads: how many are inside a block at the same time, and waiting with a timeout."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

#: Seconds after which a test assumes that something hangs.
PATIENCE = 30


class Stop(BaseException):
    """An exception that is not an `Exception`."""


class Gauge:
    """Counts the threads inside it, and records their maximum."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.now = self.most = self.entered = 0

    def __enter__(self) -> None:
        with self._lock:
            self.now += 1
            self.entered += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *raised: object) -> None:
        with self._lock:
            self.now -= 1


def run(main: Callable[[], Awaitable[Any]]) -> Any:
    """Run a coroutine function on a new loop. Raises TimeoutError if it hangs."""

    async def bounded() -> Any:
        async with asyncio.timeout(PATIENCE):
            return await main()

    return asyncio.run(bounded())


def alive(name: str) -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(f"{name}-")]


def wait_until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "the condition did not become true"
        time.sleep(0.005)


async def until(holds: Callable[[], object]) -> None:
    """Wait for a condition without blocking the loop."""
    await asyncio.to_thread(wait_until, holds)
