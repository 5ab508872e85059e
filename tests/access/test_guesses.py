"""Limits on password guesses, without passwords. Runs on both databases."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.db.models import F

from post3.access import guesses
from post3.models import LoginAllowance


def tries(count: int, name: str = "anna", address: str = "192.0.2.1") -> int:
    """Make `count` guesses. Return how many were let through."""
    passed = 0
    for _ in range(count):
        try:
            guesses.count(name, address)
        except guesses.TooManyGuesses as refused:
            assert 1 <= refused.retry_after <= 60
        else:
            passed += 1
    return passed


def later(seconds: float) -> None:
    """Move all stored times into the past, as if this much time had passed."""
    LoginAllowance.objects.update(until=F("until") - timedelta(seconds=seconds))


def test_guesses_of_one_name_from_one_address_are_regained_one_per_minute(catalogue: Any) -> None:
    assert tries(10) == 5
    later(61)
    assert tries(10) == 1
    later(3600)
    assert tries(10) == 5


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9"),  # the network of one customer
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("fe80::1%eth0", "fe80::2%eth1"),
        ("", ""),  # a socket without addresses
        ("nonsense", "nonsense"),
    ],
)
def test_guesses_from_one_network_count_as_one_client(catalogue: Any, first: str, second: str) -> None:
    assert tries(5, address=first) == 5
    assert tries(5, address=second) == 0
    assert tries(1, address="2001:db8:1:3::1") == 1


@pytest.mark.parametrize("name", ["ANNA", "Anna", "\uff41nna"])
def test_guesses_of_different_spellings_count_as_one_name(catalogue: Any, name: str) -> None:
    assert tries(5) == 5
    assert tries(5, name) == 0


def test_guesses_from_one_address_cannot_lock_a_name_for_others(catalogue: Any) -> None:
    for _ in range(60):
        tries(6, address="192.0.2.66")
        later(60)
    assert tries(5, address="192.0.2.1") == 5


def test_guesses_from_many_addresses_lock_a_name_except_at_known_addresses(catalogue: Any) -> None:
    right = guesses.count("anna", "192.0.2.1")
    assert right is not None
    guesses.give_back(right)
    assert sum(tries(5, address=f"198.51.100.{number}") for number in range(10)) == 30
    assert tries(1, address="203.0.113.1") == 0
    assert tries(1, address="192.0.2.1") == 1


@pytest.mark.parametrize(
    "spread", [lambda n: ("anna", "192.0.2.1"), lambda n: (f"name{n}", "192.0.2.1")], ids=["pair", "address"]
)
def test_simultaneous_guesses_are_all_counted(catalogue: Any, spread: Callable[[int], tuple[str, str]]) -> None:
    def one(number: int) -> int:
        try:
            return tries(1, *spread(number))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(8) as pool:
        passed = sum(pool.map(one, range(40)))
    assert passed == (5 if spread(0) == spread(1) else 20)


def test_forget_old_removes_only_expired_rows(catalogue: Any) -> None:
    tries(2)
    assert guesses.forget_old() == 0
    later(3600)
    assert guesses.forget_old() == 3
    assert not LoginAllowance.objects.exists()
