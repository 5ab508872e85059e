"""An interrupted response releases everything that was started for it."""

import asyncio
import gc
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from post3.server.answers import Answer
from post3.server.sending import PROOF, SMALL_PIECE, Sender
from post3.storage.base import PIECE, Pieces, StorageError
from post3.threads.pools import Threads

#: More pieces than it takes to prove that a client keeps up.
WHOLE = 2 * PROOF // SMALL_PIECE


class Breaking(Pieces):
    """Pieces of zeros whose storage fails after some of them, while more than one is being read ahead."""

    def __init__(self) -> None:
        self.claimed = self.refused = 0

    def ensure_readable(self) -> None:
        raise AssertionError("the response has started")

    def close(self) -> None:
        pass

    def reserve(self, most: int = PIECE) -> Callable[[], bytes] | None:
        self.claimed += 1
        return (lambda: bytes(most)) if self.claimed <= WHOLE else self._refuse

    def _refuse(self) -> bytes:
        self.refused += 1
        raise StorageError("gone")


def test_errors_of_pieces_read_ahead_are_retrieved() -> None:
    forgotten: list[dict[str, Any]] = []
    pieces, threads = Breaking(), Threads(4, "broken")
    exchange: Any = SimpleNamespace(record=SimpleNamespace(sent=0, whole=False))

    async def never() -> dict[str, Any]:
        return await asyncio.get_running_loop().create_future()

    async def send(message: dict[str, Any]) -> None:
        pass

    async def answer() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: forgotten.append(context))
        with pytest.raises(StorageError):
            await Sender(never, send, threads, threads).send_answer(Answer(200, [], pieces, lambda: None, exchange))

    try:
        asyncio.run(answer())
    finally:
        threads.shutdown()
    for thread in threads._threads:
        thread.join()  # each thread holds on to its last task
    gc.collect()
    assert pieces.refused > 1, "nothing was read ahead"
    assert not forgotten
