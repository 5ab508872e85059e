"""The statements behind GET and LIST read by an index what they give, and no more, whatever the table holds."""

import itertools
import random
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.utils import timezone

from post3.models import Bucket, Object, listing, reading, sql
from post3.models.listing import successor
from post3.models.rows import CommonPrefix

ROWS, FOLDERS = 20_000, 20


@pytest.fixture
def bucket(catalogue: Any) -> Iterator[Bucket]:
    """A bucket of 20,000 keys in 20 folders, beside another like it."""
    owner = get_user_model().objects.create_user("owner")
    now = timezone.now()
    for name in ("first", "second"):
        made = Bucket.objects.create(name=name, owner=owner, region="us-east-1")
        fixed = {"bucket": made, "owner": owner, "storage_class": "STANDARD", "last_modified": now, "etag": "0" * 32}
        keys = (f"{number % FOLDERS:02}/{number:06}" for number in range(ROWS // 2))
        Object.objects.bulk_create((Object(key=key, **fixed) for key in keys), batch_size=2000)
    Object.objects.create(key="plain", **fixed)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    yield made


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[Any]]]:
    """The statements that are run through `models.sql.fetch` from now on."""
    seen: list[tuple[str, list[Any]]] = []

    def noting(statement: str, params: Any = ()) -> list[tuple[Any, ...]]:
        seen.append((statement, list(params)))
        return sql.fetch(statement, params)

    monkeypatch.setattr(listing, "fetch", noting)
    monkeypatch.setattr(reading, "fetch", noting)
    return seen


def plan_of(statement: str, params: list[Any], generic: bool) -> str:
    """Explain a statement: bound, or on PostgreSQL by the generic plan that a prepared one may end up with."""
    if connection.vendor != "postgresql":
        return "\n".join(str(row[3]) for row in sql.fetch(f"EXPLAIN QUERY PLAN {statement}", params))
    numbers = itertools.count(1)
    numbered = re.sub("%s", lambda _: f"${next(numbers)}", statement)
    with connection.cursor() as cursor:
        cursor.execute(f"SET plan_cache_mode = force_{'generic' if generic else 'custom'}_plan")
        cursor.execute(f"PREPARE explained AS {numbered}")
        cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, COSTS OFF) EXECUTE explained ({', '.join(['%s'] * len(params))})", params)
        lines = [row[0] for row in cursor.fetchall()]
        cursor.execute("DEALLOCATE explained")
        cursor.execute("RESET plan_cache_mode")
    return "\n".join(lines)


def check(statements: list[tuple[str, list[Any]]]) -> list[str]:
    """Assert that the one statement seen finds every object by an index of bucket and key; return its plans."""
    ((statement, params),) = statements
    statements.clear()
    plans = [plan_of(statement, params, generic) for generic in (False, True)]
    for plan in plans:
        if connection.vendor == "postgresql":
            assert "Seq Scan on post3_object " not in plan and "Bitmap" not in plan, plan
            scans = re.findall(r"Index (?:Only )?Scan using post3_object_\w+ on post3_object .*\n *Index Cond: (.*)", plan)
            assert scans and all("bucket_id = " in scan and "key " in scan for scan in scans), plan
        else:
            scans = [line for line in plan.splitlines() if line.startswith(("SCAN o", "SEARCH o"))]
            assert scans and all(
                re.match(r"SEARCH o USING INDEX post3_object_\w+ \(bucket_id=\? AND key[=>]", scan) for scan in scans
            ), plan
    return plans


def test_find_object_and_listings_read_by_the_index(bucket: Bucket, statements: list[Any]) -> None:
    """One test, because the rows take seconds."""
    found, row = reading.find_object(connection.vendor, "second", "07/000007")
    assert found and row is not None and row.key == "07/000007"
    check(statements)

    for prefix, start, first in (("", "", "00/000000"), ("", "05/000305", "05/000305"), ("19/", "", "19/000019")):
        entries = listing.list_objects(bucket.pk, prefix, "", start, 101)
        assert len(entries) == 101 and entries[0].key == first
        for plan in check(statements):
            assert "Sort" not in plan and "TEMP B-TREE" not in plan, plan  # the range is not read whole
            if connection.vendor == "postgresql":
                assert "actual rows=101 " in plan.splitlines()[1], plan

    for prefix in ("", "0", "1"):
        entries = listing.list_objects(bucket.pk, prefix, "/", "", 1001)
        names = [entry.prefix if isinstance(entry, CommonPrefix) else entry.key for entry in entries]
        assert names == [name for name in [*(f"{number:02}/" for number in range(FOLDERS)), "plain"] if name.startswith(prefix)]
        for plan in check(statements):  # one seek for each entry, whatever is below it
            if connection.vendor == "postgresql":
                assert re.search(rf"Recursive Union \(actual rows={len(names) + 1} ", plan.replace(".00", "")), plan

    entries = listing.list_objects(bucket.pk, "03/", "/", "", 51)
    assert len(entries) == 51 and not [entry for entry in entries if isinstance(entry, CommonPrefix)]
    check(statements)


@pytest.mark.parametrize("seed", range(5))
def test_successor_is_the_least_beyond_a_prefix(seed: int) -> None:
    chance = random.Random(seed)
    alphabet = ["a", "b", "\x7f", "\ud7ff", "\ue000", "\uffff", "\U00010000", "\U0010ffff"]
    for _ in range(500):
        text = "".join(chance.choices(alphabet, k=chance.randint(1, 4)))
        beyond = successor(text)
        if beyond is None:
            assert set(text) == {"\U0010ffff"}
            continue
        assert beyond.encode() > (text + "\U0010ffff" * 8).encode()
        for _ in range(20):  # nothing is between
            other = "".join(chance.choices(alphabet, k=chance.randint(1, 5)))
            assert other.startswith(text) == (text.encode() <= other.encode() < beyond.encode())
