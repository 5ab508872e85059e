"""When an unreachable database is tried again."""

import pytest

from post3.db import outages


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(outages.time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(("took", "interval"), [(0.0005, 0.05), (0.02, 0.2), (0.5, 1.0), (25.0, 1.0)])
def test_next_try_is_the_sooner_the_less_the_last_one_took(clock: list[float], took: float, interval: float) -> None:
    outage = outages.Outage()
    outage.note_try(False, took)
    clock[0] += interval - 0.01
    assert not outage.may_try()
    clock[0] += 0.02
    assert outage.may_try()
    assert not outage.may_try(), "one at a time"
    outage.note_try(False, took)
    assert not outage.may_try()


def test_once_it_is_reached_every_thread_may_connect(clock: list[float]) -> None:
    outage = outages.Outage()
    outage.note_try(False, 0.001)
    clock[0] += 1
    assert outage.may_try()
    outage.note_try(True, 0.001)
    assert all(outage.may_try() for _ in range(3))
