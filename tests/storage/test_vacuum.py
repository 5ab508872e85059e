"""Room of deleted blocks, made usable again by who deleted them."""

import os

import pytest
from django.db import connection, transaction
from django.utils import timezone

from post3.models import Blob, Block
from post3.storage import vacuum
from post3.storage.vacuum import Vacuum

SIZE, COUNT = 1 << 20, 40


pytestmark = pytest.mark.usefixtures("postgresql")


def new_blob() -> Blob:
    fields = {"storage_class": "STANDARD", "size": SIZE, "block_size": SIZE, "state": Blob.State.STORED}
    return Blob.objects.create(**fields, created_at=timezone.now())


def table_size() -> int:
    with connection.cursor() as cursor:
        cursor.execute(vacuum.SIZE)
        return cursor.fetchone()[0]


def test_overwriting_with_vacuums_does_not_grow_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vacuum, "LEAST", COUNT * SIZE)
    # Autovacuum would do the same a minute later: this is over by then.
    noted, sizes = Vacuum(), []
    for _ in range(4):
        blobs = [new_blob() for _ in range(COUNT)]
        Block.objects.bulk_create(Block(blob=blob, index=0, data=os.urandom(SIZE)) for blob in blobs)
        sizes.append(table_size())
        Block.objects.filter(blob__in=blobs).delete()
        assert [noted.note(connection, SIZE) for _ in range(COUNT)] == [False] * (COUNT - 1) + [True]
    assert sizes[-1] < 1.5 * sizes[0]


def test_little_or_a_small_part_of_the_table_is_no_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    noted = Vacuum()
    assert not noted.note(connection, vacuum.LEAST - 1)
    assert noted.note(connection, 1)
    monkeypatch.setattr(vacuum, "SIZE", f"SELECT {vacuum.LEAST * vacuum.PART + vacuum.PART}::bigint")
    assert not noted.note(connection, vacuum.LEAST)
    assert noted.note(connection, 1)


def test_in_a_transaction_it_waits_for_the_next_time() -> None:
    noted = Vacuum()
    with transaction.atomic():
        assert not noted.note(connection, vacuum.LEAST)
    assert noted.note(connection, 1)
    with connection.cursor() as cursor:
        cursor.execute("SHOW vacuum_cost_delay")
        assert cursor.fetchone()[0] == "0"
