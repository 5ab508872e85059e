"""A few seconds of the mixed load. `python -m tests.faults soak` runs it for half an hour."""

import pytest

from .soak import MIB, MOST_CONNECTIONS, Look, judge, run
from .stand import stand

SECONDS = 5


def test_mixed_load_causes_no_error() -> None:
    with stand("postgresql-blocks", "gunicorn-asgi", grace=2) as one:
        result = run(one, SECONDS, "1", lambda line: None, pause=1)
        assert not result.problems, "\n".join([*result.problems[:10], one.server.log()[-5000:]])
    assert len(result.counts) == 8 and min(result.counts.values()) > 0, result.counts
    assert result.looks[-1].memory > 50 * MIB and 0 < result.looks[-1].connections <= MOST_CONNECTIONS


def looks(field: str, first: int, last: int) -> list[Look]:
    """Return two measurements, minutes apart, that differ in one figure."""
    flat = {"memory": 200 * MIB, "connections": 9, "store": 100 * MIB}
    return [Look(seconds, **{**flat, field: value}) for seconds, value in ((60.0, first), (360.0, last))]


@pytest.mark.parametrize(
    ("field", "first", "last"),
    [("memory", 200 * MIB, 229 * MIB), ("connections", MOST_CONNECTIONS, MOST_CONNECTIONS + 1), ("store", 100 * MIB, 151 * MIB)],
    ids=["memory", "connections", "store"],
)
def test_growth_is_reported(field: str, first: int, last: int) -> None:
    assert not judge(looks(field, first, first), 360)
    assert len(judge(looks(field, first, last), 360)) == 1
