"""The statements behind GET and LIST read only the rows they return, by an index, however large the table."""

import itertools
import random
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.utils import timezone

from post3.catalogue import listing, reading
from post3.catalogue.buckets import load_bucket
from post3.catalogue.listing import successor
from post3.catalogue.rows import CommonPrefix, ListedObject
from post3.db import sql
from post3.models import Bucket, Object

FOLDERS = 20
KEYS = [*(f"{number % FOLDERS:02}/{number:06}" for number in range(10_000)), "plain"]
Listing = tuple[Callable[[], list[ListedObject | CommonPrefix]], list[str]]


def fill(name: str, owner: Any) -> Bucket:
    """Create a bucket with 10,000 keys in 20 folders and one key outside of them."""
    made = Bucket.objects.create(name=name, owner=owner, region="us-east-1")
    fixed = {"bucket": made, "owner": owner, "storage_class": "STANDARD", "last_modified": timezone.now(), "etag": "0" * 32}
    Object.objects.bulk_create((Object(key=key, **fixed) for key in KEYS), batch_size=2000)
    return made


@pytest.fixture
def bucket(catalogue: Any) -> Iterator[Bucket]:
    """Yield a bucket next to another one like it."""
    owner = get_user_model().objects.create_user("owner")
    made = [fill(name, owner) for name in ("first", "second")]
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    yield made[-1]


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[Any]]]:
    """Return the list of statements run through `models.sql.fetch` from now on."""
    seen: list[tuple[str, list[Any]]] = []

    def noting(statement: str, params: Any = ()) -> list[tuple[Any, ...]]:
        seen.append((statement, list(params)))
        return sql.fetch(statement, params)

    monkeypatch.setattr(listing, "fetch", noting)
    monkeypatch.setattr(reading, "fetch", noting)
    return seen


def flat_listings(bucket: Bucket) -> list[Listing]:
    """Return pages without a delimiter, each as a call and its expected names."""
    listings = []
    for prefix, start in (("", ""), ("", "05/000305"), ("19/", "")):
        names = [key for key in sorted(KEYS) if key.startswith(prefix) and key >= start][:101]
        listings.append((partial(listing.list_objects, load_bucket(bucket.name), prefix, "", start, 101), names))
    return listings


def rolled_up_listings(bucket: Bucket) -> list[Listing]:
    """Return pages of common prefixes, and one of keys below a prefix, each as a call and its expected names."""
    folders = [*(f"{number:02}/" for number in range(FOLDERS)), "plain"]
    listings = []
    for prefix in ("", "0", "1"):
        names = [name for name in folders if name.startswith(prefix)]
        listings.append((partial(listing.list_objects, load_bucket(bucket.name), prefix, "/", "", 1001), names))
    names = [key for key in sorted(KEYS) if key.startswith("03/")][:51]
    return [*listings, (partial(listing.list_objects, load_bucket(bucket.name), "03/", "/", "", 51), names)]


def rows_read(cursor: Any) -> tuple[int, int]:
    """Return the number of objects this transaction read by sequential scans, and of index entries it read.

    Rows fetched by an index are not counted: after an autovacuum, an index-only scan may be enough.
    """
    cursor.execute(
        "SELECT pg_stat_get_xact_tuples_returned('post3_object'::regclass), "
        "(SELECT sum(pg_stat_get_xact_tuples_returned(indexrelid)) FROM pg_index WHERE indrelid = 'post3_object'::regclass)"
    )
    return tuple(map(int, cursor.fetchone()))


def plan_of(statement: str, params: list[Any], generic: bool) -> str:
    """Explain a statement with bound values, or on PostgreSQL with the generic plan of a prepared statement."""
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
    """Assert that the only recorded statement finds every object by an index on bucket and key. Return its plans."""
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
    """One test, because creating the rows takes seconds."""
    row = reading.find_object(load_bucket("second"), "07/000007")
    assert row is not None and row.key == "07/000007"
    check(statements)

    listings = [*flat_listings(bucket), *rolled_up_listings(bucket)]
    for make, names in listings:
        entries = make()
        assert [entry.prefix if isinstance(entry, CommonPrefix) else entry.key for entry in entries] == names
    if connection.vendor == "sqlite":  # on PostgreSQL a function reads and its plan is not visible: see below
        for index in range(len(listings)):
            for plan in check(statements[index : index + 1]):
                assert index >= 3 or "TEMP B-TREE" not in plan, plan  # the range is not read completely


@pytest.mark.parametrize("analysed", [None, "before", "after"])
def test_a_page_on_postgresql_reads_only_the_rows_it_returns(postgresql: Any, analysed: str | None) -> None:
    """The planner's estimate must not matter.

    If the table was never analyzed, or not since the bucket was created, the planner expects a row or two.
    """
    owner = get_user_model().objects.create_user("owner")
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE post3_object CASCADE")
        if analysed == "before":
            fill("first", owner)
            cursor.execute("ANALYZE post3_object")
        made = fill("second", owner)
        if analysed == "after":
            cursor.execute("ANALYZE post3_object")
        for make, names in [*flat_listings(made), *rolled_up_listings(made)]:
            for _ in range(8):  # from the sixth execution on, the plan is generic
                with transaction.atomic():
                    before = rows_read(cursor)
                    assert len(make()) == len(names)
                    read = [now - then for now, then in zip(rows_read(cursor), before, strict=True)]
                assert read[0] == 0 and len(names) <= read[1] <= len(names) + 20, (names[:3], read)


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
        for _ in range(20):  # nothing in between
            other = "".join(chance.choices(alphabet, k=chance.randint(1, 5)))
            assert other.startswith(text) == (text.encode() <= other.encode() < beyond.encode())
