"""How long a worker rests, depending on the amount of waiting work."""

from post3.maintenance.pacing import INTERVAL_FACTOR, LITTLE, MIN_INTERVAL, REST, SMALL_BLOB_REST, Pace
from post3.storage.base import MIB


class Clock:
    """A clock that the test advances. It returns the waiting amounts one by one; each query takes `cost` seconds."""

    def __init__(self, *waiting: int, cost: float = 0.0) -> None:
        self.now, self.looks, self._waiting, self._cost = 0.0, 0, list(waiting), cost

    def __call__(self) -> float:
        return self.now

    def waiting(self) -> int:
        self.looks += 1
        self.now += self._cost
        return self._waiting.pop(0)


def rests(*waiting: int) -> list[float]:
    """Return the rests after steps of one second, one for each amount waiting."""
    clock, found = Clock(*waiting), []
    pace = Pace(clock.waiting, clock)
    for _ in waiting:
        pace.look()
        found.append(pace.rest_after(1.0, MIB))
        clock.now += MIN_INTERVAL
    return found


def test_rests_are_short_while_the_backlog_grows_and_long_when_it_is_small() -> None:
    sizes = [2, 3, 4, 5, 6, 5, 1]
    assert rests(*(size * LITTLE for size in sizes)) == [REST, 2.0, 0.5, 0.125, 0.1, 0.1, REST]


def test_one_large_object_does_not_shorten_rests() -> None:
    assert rests(0, 5 * LITTLE, 4 * LITTLE, 3 * LITTLE, 0) == [REST] * 5


def test_growth_below_the_allowed_backlog_does_not_shorten_rests() -> None:
    assert rests(0, LITTLE // 4, LITTLE // 2, LITTLE) == [REST] * 4


def test_small_steps_have_short_rests() -> None:
    assert Pace(lambda: 0).rest_after(2.0, MIB - 1) == 2 * REST * SMALL_BLOB_REST


def test_backlog_is_measured_rarely_and_less_often_if_that_takes_long() -> None:
    clock = Clock(0, 0, 0, cost=3.0)
    pace = Pace(clock.waiting, clock)
    for _ in range(int(INTERVAL_FACTOR * 3) + 4):
        pace.look()
        clock.now += 1
    assert clock.looks == 2
