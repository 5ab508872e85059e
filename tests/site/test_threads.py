"""Worker threads of the ASGI handler: results, limits, order, and how they end."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from post3.threads.pools import ParkingThreads, Threads
from tests.site.waiting import PATIENCE, Gauge, Stop, alive, run, until, wait_until


@contextmanager
def threads(size: int, name: str) -> Iterator[Threads]:
    """Yield threads, and shut them down afterwards, or a failed test would keep the process alive."""
    made = Threads(size, name)
    try:
        yield made
    finally:
        made.shutdown()


def fail(error: BaseException) -> None:
    raise error


@pytest.fixture(params=[lambda: Threads(2, "both"), lambda: ParkingThreads(2, 2, "both")], ids=["plain", "parking"])
def both(request: pytest.FixtureRequest) -> Iterator[Any]:
    """Two threads of each kind."""
    made = request.param()
    yield made
    made.shutdown()
    wait_until(lambda: not alive("both"))


class TestBoth:
    def test_results_and_errors_reach_the_future(self, both: Any) -> None:
        async def main() -> None:
            assert await both.run(divmod, 17, 5) == (3, 2)
            assert await both.run(lambda: None) is None
            for error in (ValueError("x"), Stop("x"), KeyboardInterrupt(), SystemExit(3)):
                with pytest.raises(type(error)) as caught:
                    await both.run(fail, error)
                assert caught.value is error
            with pytest.raises(RuntimeError):  # a future cannot contain a StopIteration
                await both.run(next, iter(()))
            # If the errors had ended a thread, these calls would return nothing.
            assert await asyncio.gather(*(both.run(abs, -number) for number in range(20))) == list(range(20))

        run(main)

    def test_a_cancelled_call_harms_no_other(self, both: Any) -> None:
        async def main() -> None:
            release = threading.Event()
            held = [both.run(release.wait, PATIENCE) for _ in range(2)]
            waiting = both.run(abs, -1)
            held[0].cancel()
            waiting.cancel()
            release.set()
            assert await held[1] is True
            assert await both.run(abs, -2) == 2
            assert held[0].cancelled() and waiting.cancelled()

        run(main)

    def test_a_loop_that_is_gone_does_not_kill_the_thread(self, both: Any) -> None:
        release, entered = threading.Event(), threading.Event()

        def hold() -> None:
            entered.set()
            release.wait(PATIENCE)

        async def leave() -> None:
            for _ in range(2):
                both.run(hold)
            await until(entered.is_set)

        async def main() -> None:
            assert await both.run(abs, -5) == 5

        run(leave)
        release.set()
        run(main)

    def test_no_more_than_its_size_run_at_once(self, both: Any) -> None:
        gauge = Gauge()

        def work() -> None:
            with gauge:
                time.sleep(0.002)

        async def main() -> None:
            await asyncio.gather(*(both.run(work) for _ in range(100)))

        run(main)
        assert (gauge.entered, gauge.most) == (100, 2)

    def test_shutdown_cancels_what_waits_and_lets_finish_what_runs(self, both: Any) -> None:
        async def main() -> None:
            release, gauge, called = threading.Event(), Gauge(), []

            def hold() -> str:
                with gauge:
                    release.wait(PATIENCE)
                return "finished"

            running = [both.run(hold) for _ in range(2)]
            await until(lambda: gauge.now == 2)
            waiting = [both.run(called.append, number) for number in range(50)]
            both.shutdown()
            outcomes = await asyncio.gather(*waiting, return_exceptions=True)
            assert all(isinstance(outcome, asyncio.CancelledError) for outcome in outcomes)
            assert not any(future.done() for future in running)
            release.set()
            assert await asyncio.gather(*running) == ["finished"] * 2
            assert called == []

        run(main)


class TestThreads:
    def test_threads_are_started_as_needed(self) -> None:
        async def main() -> None:
            with threads(4, "needed") as made:
                for number in range(20):
                    assert await made.run(abs, -number) == number
                assert len(alive("needed")) == 1
                both = threading.Barrier(2)
                await asyncio.gather(*(made.run(both.wait, PATIENCE) for _ in range(2)))
                assert len(alive("needed")) == 2

        run(main)

    def test_calls_of_both_kinds_take_turns(self) -> None:
        """Thirty earlier calls of one kind do not delay those of the other. Each kind keeps its order."""
        order: list[tuple[str, int]] = []

        async def main() -> None:
            with threads(1, "turns") as made:
                release, entered = threading.Event(), threading.Event()
                made.run(lambda: (entered.set(), release.wait(PATIENCE)))
                await until(entered.is_set)
                asides = [made.run_low_priority(order.append, ("aside", number)) for number in range(30)]
                calls = [made.run(order.append, ("call", number)) for number in range(10)]
                release.set()
                await asyncio.gather(*asides, *calls)

        run(main)
        kinds = [kind for kind, _ in order]
        assert {kinds[2 * turn] for turn in range(10)} | {kinds[2 * turn + 1] for turn in range(10)} == {"aside", "call"}
        assert all(kinds[2 * turn] != kinds[2 * turn + 1] for turn in range(10)), kinds
        assert kinds[20:] == ["aside"] * 20
        for kind, count in (("aside", 30), ("call", 10)):
            assert [number for name, number in order if name == kind] == list(range(count))

    @pytest.mark.parametrize("size", [1, 4])
    def test_nothing_is_lost_of_many_mixed_calls(self, size: int) -> None:
        gauge, done = Gauge(), [0] * 2_000

        def work(number: int) -> int:
            with gauge:
                done[number] += 1
                return number

        async def main() -> None:
            with threads(size, "mixed") as made:
                futures = []
                for number in range(len(done)):
                    futures.append((made.run_low_priority if number % 3 else made.run)(work, number))
                    if number % 50 == 0:
                        await asyncio.sleep(0)  # so that threads sometimes run out of work
                assert await asyncio.gather(*futures) == list(range(len(done)))
                assert len(alive("mixed")) <= size

        run(main)
        assert done == [1] * len(done)
        assert gauge.most <= size
        wait_until(lambda: not alive("mixed"))
