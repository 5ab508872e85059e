"""The request limit of each access key."""

import pytest

from post3.access import rate_limit


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1000.0]
    monkeypatch.setattr(rate_limit.time, "monotonic", lambda: now[0])
    return now


def spend(limit: rate_limit.RateLimit, key: str, times: int) -> int:
    """Ask this many times. Return how often the request was allowed."""
    return sum(limit.spend(key) for _ in range(times))


def test_one_second_of_requests_may_come_in_a_burst_then_the_rate_applies(clock: list[float]) -> None:
    limit = rate_limit.RateLimit(10)
    assert spend(limit, "a", 30) == 10
    assert spend(limit, "b", 30) == 10, "another key has its own bucket"
    clock[0] += 0.35
    assert spend(limit, "a", 30) == 3
    clock[0] += 100
    assert spend(limit, "a", 30) == 10, "requests not used in the seconds before do not add up"


def test_a_rate_below_one_allows_one_request_at_a_time(clock: list[float]) -> None:
    limit = rate_limit.RateLimit(0.5)
    assert spend(limit, "a", 3) == 1
    clock[0] += 1.9
    assert spend(limit, "a", 3) == 0
    clock[0] += 0.2
    assert spend(limit, "a", 3) == 1


def test_keys_are_remembered_in_bounded_memory(clock: list[float]) -> None:
    limit = rate_limit.RateLimit(1)
    for number in range(3 * rate_limit.ENTRIES):
        limit.spend(f"key {number}")
    assert len(limit._full_at) <= rate_limit.ENTRIES
    assert not limit.spend(f"key {3 * rate_limit.ENTRIES - 1}"), "the newest key was evicted"
    clock[0] += 10
    limit.spend("a"), limit.spend("b")
    assert len(limit._full_at) == 2, "full buckets were kept"
