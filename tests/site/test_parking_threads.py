"""Threads that release their slot while they wait for a client: limits, counts, and how they end."""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager

from post3.threads.parking import occupy, parked
from post3.threads.pools import ParkingThreads
from tests.site.waiting import PATIENCE, Gauge, Stop, alive, run, until, wait_until


@contextmanager
def parking_threads(size: int, most_parked: int, name: str) -> Iterator[ParkingThreads]:
    """Yield threads, and shut them down afterwards, or a failed test would keep the process alive."""
    made = ParkingThreads(size, most_parked, name)
    try:
        yield made
    finally:
        made.shutdown()


class TestParkingThreads:
    def test_parked_calls_let_others_through(self) -> None:
        async def main() -> None:
            with parking_threads(2, 20, "through") as made:
                release, inside, running = threading.Event(), Gauge(), Gauge()

                def slow(number: int) -> int:
                    with running:
                        pass
                    with parked(), inside:
                        release.wait(PATIENCE)
                    with running:
                        time.sleep(0.002)
                    return number

                waiting = [made.run(slow, number) for number in range(10)]
                await until(lambda: inside.now == 10)
                assert await asyncio.gather(*(made.run(abs, -number) for number in range(5))) == list(range(5))
                assert not any(future.done() for future in waiting)
                release.set()
                assert await asyncio.gather(*waiting) == list(range(10))
                assert running.most <= 2
                await until(lambda: len(alive("through")) <= 2)

        run(main)
        wait_until(lambda: not alive("through"))

    def test_no_more_threads_than_told(self) -> None:
        """With 2 threads and 3 parked threads, the sixth call waits until one of the five may continue."""

        async def main() -> None:
            with parking_threads(2, 3, "most") as made:
                releases, inside = [threading.Event() for _ in range(12)], Gauge()

                def slow(number: int) -> int:
                    with parked(), inside:
                        releases[number].wait(PATIENCE)
                    return number

                waiting = [made.run(slow, number) for number in range(12)]
                await until(lambda: inside.now == 5)
                await asyncio.sleep(0.2)  # much longer than a sixth call takes to start
                assert (inside.entered, len(alive("most"))) == (5, 5)
                quick = made.run(abs, -1)
                releases[0].set()
                assert await waiting[0] == 0
                await until(lambda: inside.entered == 6)
                assert not quick.done()
                for release in releases:
                    release.set()
                assert await asyncio.gather(*waiting) == list(range(12))
                assert await quick == 1
                assert (inside.entered, inside.most) == (12, 5)

        run(main)

    def test_never_more_than_its_size_run_whatever_parks(self) -> None:
        running, parkings = Gauge(), Gauge()

        def work(number: int) -> int:
            for step in range(4):
                with running:
                    time.sleep(0.0003)
                if (number + step) % 3:
                    with parked(), parkings:
                        time.sleep(0.002 * (number % 4))
            return number

        async def main() -> None:
            with parking_threads(3, 40, "whatever") as made:
                assert await asyncio.gather(*(made.run(work, number) for number in range(300))) == list(range(300))
                assert await asyncio.gather(*(made.run(abs, -number) for number in range(10))) == list(range(10))
                await until(lambda: len(alive("whatever")) <= 3)

        run(main)
        assert running.most <= 3 < parkings.most
        wait_until(lambda: not alive("whatever"))

    def test_errors_while_parked_keep_the_count(self) -> None:
        gauge = Gauge()

        def broken() -> None:
            with parked():
                raise Stop

        def work() -> None:
            with gauge:
                time.sleep(0.005)

        async def main() -> None:
            with parking_threads(2, 10, "broken") as made:
                for _ in range(10):
                    outcomes = await asyncio.gather(*(made.run(broken) for _ in range(5)), return_exceptions=True)
                    assert [type(outcome) for outcome in outcomes] == [Stop] * 5
                await asyncio.gather(*(made.run(work) for _ in range(30)))

        run(main)
        # Fewer: a slot was lost. More: a slot was released twice.
        assert gauge.most == 2

    def test_give_up_and_take_again_by_hand(self) -> None:
        """After a call gives up the only slot, another call runs. The first continues only when that one has ended."""
        steps: list[str] = []

        async def main() -> None:
            with parking_threads(1, 1, "by-hand") as made:
                given, entered, release = threading.Event(), threading.Event(), threading.Event()

                def first() -> None:
                    made.give_up()
                    given.set()
                    assert entered.wait(PATIENCE)
                    steps.append("wants")
                    made.take_again()
                    steps.append("goes on")

                def second() -> None:
                    entered.set()
                    release.wait(PATIENCE)
                    steps.append("ends")

                futures = [made.run(first)]
                await until(given.is_set)
                futures.append(made.run(second))
                await until(lambda: steps)
                await asyncio.sleep(0.1)
                release.set()
                await asyncio.gather(*futures)

        run(main)
        assert steps == ["wants", "ends", "goes on"]

    def test_shutdown_while_some_are_parked(self) -> None:
        async def main() -> None:
            with parking_threads(2, 5, "ending") as made:
                release, inside = threading.Event(), Gauge()

                def slow(number: int) -> int:
                    with parked(), inside:
                        release.wait(PATIENCE)
                    return number

                kept = [made.run(slow, number) for number in range(7)]
                await until(lambda: inside.now == 7)
                late = made.run(abs, -1)
                made.shutdown()
                assert late.cancelled()
                release.set()
                assert await asyncio.gather(*kept) == list(range(7))

        run(main)
        wait_until(lambda: not alive("ending"))


def test_a_thread_without_a_place_parks_for_nothing() -> None:
    """Under WSGI, the server's own threads read the bodies."""
    reached: Future[bool] = Future()

    def work() -> None:
        with parked():
            pass
        occupy(None)
        with parked():
            reached.set_result(True)

    threading.Thread(target=work).start()
    assert reached.result(PATIENCE)
