"""The checker of histories finds violations, and none in a thousand operations on each kind of server."""

import pytest

from ..raw import RawClient
from . import linearizability
from .linearizability import Operation, find_violation

OPERATIONS = 1000


def put(value: str, start: int, end: int | None) -> Operation:
    return Operation("put", start, end, value)


def get(value: str, start: int, end: int) -> Operation:
    return Operation("get", start, end, value)


def put_if_absent(value: str, start: int, end: int, *, done: bool) -> Operation:
    return Operation("put-if-absent", start, end, value, done=done)


def put_if_match(expected: str, value: str, start: int, end: int, *, done: bool) -> Operation:
    return Operation("put-if-match", start, end, value, expected, done=done)


def delete(start: int, end: int) -> Operation:
    return Operation("delete", start, end)


LINEARIZABLE = {
    "one after the other": [put("a", 1, 2), get("a", 3, 4), delete(5, 6), get("", 7, 8)],
    "a read beside a write sees it or not": [put("a", 1, 10), get("", 2, 3), get("a", 4, 5)],
    "two writes in either order": [put("a", 1, 10), put("b", 2, 9), get("b", 11, 12), get("b", 13, 14)],
    "unanswered and it happened late": [put("a", 1, None), get("", 2, 3), get("a", 4, 5)],
    "unanswered and it never happened": [put("a", 1, None), put("b", 2, 3), get("b", 4, 5)],
    "one of two wins": [put_if_absent("a", 1, 10, done=True), put_if_absent("b", 1, 10, done=False), get("a", 11, 12)],
    "a delete between lets both win": [
        put_if_absent("a", 1, 10, done=True),
        delete(2, 9),
        put_if_absent("b", 1, 10, done=True),
        get("b", 11, 12),
    ],
    "a chain of conditions": [put("a", 1, 2), put_if_match("b", "c", 3, 9, done=True), put_if_match("a", "b", 3, 9, done=True)],
}
VIOLATIONS = {
    "a lost write": [put("a", 1, 2), get("", 3, 4)],
    "a stale read": [put("a", 1, 2), put("b", 3, 4), get("a", 5, 6)],
    "back in time": [put("a", 1, 10), get("a", 2, 3), get("", 4, 5)],
    "a value nobody wrote": [put("a", 1, 2), get("z", 3, 4)],
    "a deleted value again": [put("a", 1, 2), delete(3, 4), get("a", 5, 6)],
    "two readers, two orders": [put("a", 1, 2), put("b", 3, 20), put("c", 3, 20), get("b", 4, 5), get("c", 6, 7), get("b", 8, 9)],
    "two of two win": [put_if_absent("a", 1, 10, done=True), put_if_absent("b", 1, 10, done=True)],
    "none of two wins": [put_if_absent("a", 1, 10, done=False), put_if_absent("b", 1, 10, done=False)],
    "two win over one ETag": [put("a", 1, 2), *(put_if_match("a", value, 3, 9, done=True) for value in "bc")],
    "a refusal without a reason": [put("a", 1, 2), put_if_match("a", "b", 3, 4, done=False)],
    "an unanswered write undone": [put("a", 1, None), get("a", 2, 3), get("", 4, 5)],
    "a lost update": [put("a", 1, 2), put_if_match("a", "b", 3, 4, done=True), get("a", 5, 6)],
}


@pytest.mark.parametrize("history", LINEARIZABLE.values(), ids=LINEARIZABLE)
def test_a_linearizable_history_passes(history: list[Operation]) -> None:
    assert find_violation(history) is None


@pytest.mark.parametrize("history", VIOLATIONS.values(), ids=VIOLATIONS)
def test_a_history_that_no_order_explains_is_found(history: list[Operation]) -> None:
    assert find_violation(history) is not None


def test_a_register_is_linearizable(raw: RawClient, bucket: str) -> None:
    result = linearizability.run(lambda: raw, bucket, OPERATIONS, seed=4)
    assert not result.violations, linearizability.report("", 4, result)
    assert result.counts.total() == OPERATIONS
    # Without winners and losers, a history would prove nothing about conditions.
    assert all(result.counts[kind] and result.counts[f"{kind} (refused)"] for kind in ("put-if-absent", "put-if-match"))
