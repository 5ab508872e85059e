"""The helper of the handwritten statements: the same results in and outside transactions, and Django's own errors."""

from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import IntegrityError, ProgrammingError, connection, transaction
from django.db.utils import OperationalError

from post3.db.sql import execute, fetch, timestamp
from post3.models import Bucket

INSERT = "INSERT INTO post3_bucket (name, owner_id, region, created_at) VALUES (%s, %s, %s, %s)"


@pytest.fixture
def owner(catalogue: Any) -> int:
    return get_user_model().objects.create_user("owner").pk


def _row(owner: int, name: str) -> list[Any]:
    return [name, owner, "us-east-1", timestamp(datetime(2026, 11, 22, 10, 30, 5, 123456, UTC))]


def test_fetch_returns_rows_in_and_outside_a_transaction(owner: int) -> None:
    assert execute(INSERT, _row(owner, "one")) == 1
    with transaction.atomic():
        assert execute(INSERT, _row(owner, "two")) == 1
        inside = fetch("SELECT name FROM post3_bucket WHERE owner_id = %s ORDER BY name", [owner])
    assert inside == [("one",), ("two",)]
    assert fetch("SELECT name FROM post3_bucket WHERE owner_id = %s ORDER BY name", [owner]) == inside
    assert fetch("SELECT name FROM post3_bucket WHERE name = %s", ["three"]) == []


def test_execute_in_a_transaction_that_is_rolled_back_leaves_nothing(owner: int) -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        execute(INSERT, _row(owner, "one"))
        assert fetch("SELECT count(*) FROM post3_bucket") == [(1,)]
        raise ZeroDivisionError
    assert fetch("SELECT count(*) FROM post3_bucket") == [(0,)]


def test_execute_that_violates_a_constraint_raises_djangos_error_and_keeps_the_connection(owner: int) -> None:
    execute(INSERT, _row(owner, "one"))
    with pytest.raises(IntegrityError) as raised:
        fetch(f"{INSERT} RETURNING id", _row(owner, "one"))
    if connection.vendor == "postgresql":
        assert raised.value.__cause__.sqlstate == "23505"
    with pytest.raises(IntegrityError), transaction.atomic():
        execute(INSERT, _row(owner, "one"))
    assert Bucket.objects.get().name == "one"


def test_fetch_of_an_invalid_statement_raises_djangos_error(catalogue: Any) -> None:
    with pytest.raises((ProgrammingError, OperationalError)):  # an OperationalError on SQLite
        fetch("SELECT nothing FROM nowhere")
    assert fetch("SELECT 1") == [(1,)]


@pytest.mark.parametrize("value", [None, 0, 2**15, 2**31, 2**62, "", "ü'\"%s", "x" * 5000])
def test_fetch_returns_bound_values_unchanged(catalogue: Any, value: Any) -> None:
    kind = "bigint" if isinstance(value, int) else "text"
    assert fetch(f"SELECT CAST(%s AS {kind}), 1", [value]) == [(value, 1)]


def test_fetch_returns_bytes_as_bytes(catalogue: Any) -> None:
    kind = "bytea" if connection.vendor == "postgresql" else "blob"
    data = bytes(range(256)) * 10
    rows = fetch(f"SELECT CAST(%s AS {kind})", [data])
    assert rows == [(data,)] and type(rows[0][0]) is bytes


def test_fetch_after_a_rollback_prepares_again(owner: int) -> None:
    assert fetch("SELECT CAST(%s AS text)", ["a"]) == [("a",)]
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        fetch("SELECT 1")
        raise ZeroDivisionError
    Bucket.objects.exists()  # psycopg deallocates together with its next statement
    assert fetch("SELECT CAST(%s AS text)", ["b"]) == [("b",)]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("DEALLOCATE ALL")
    assert fetch("SELECT CAST(%s AS text)", ["c"]) == [("c",)]


def test_fetch_after_the_connection_was_replaced_prepares_again(catalogue: Any) -> None:
    assert fetch("SELECT CAST(%s AS text)", ["a"]) == [("a",)]
    connection.close()
    assert fetch("SELECT CAST(%s AS text)", ["b"]) == [("b",)]
