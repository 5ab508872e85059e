"""Space of deleted blocks, made reusable by the worker that deleted them."""

import logging
import os
import time

import pytest
from django.db import connection
from django.utils import timezone

from post3.models import Blob, Block
from post3.storage.database import vacuum
from post3.storage.database.vacuum import Vacuum

SIZE, COUNT = 1 << 20, 40

pytestmark = pytest.mark.usefixtures("postgresql")


def new_blob() -> Blob:
    fields = {"storage_class": "STANDARD", "size": SIZE, "block_size": SIZE, "state": Blob.State.STORED}
    return Blob.objects.create(**fields, created_at=timezone.now())


def table_size() -> int:
    with connection.cursor() as cursor:
        cursor.execute(vacuum.SIZE)
        return cursor.fetchone()[0]


def vacuums(noted: Vacuum, freed: int) -> bool:
    """Record freed bytes, wait for the vacuum this may start, and return whether it ran."""
    noted.note(freed)
    deadline = time.monotonic() + 60
    while noted.is_running:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return noted._freed == 0


def test_overwriting_with_vacuums_does_not_grow_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vacuum, "MIN_FREED", COUNT * SIZE)
    noted, sizes = Vacuum(), []
    for _ in range(4):  # autovacuum would do the same a minute later, but this is over by then
        blobs = [new_blob() for _ in range(COUNT)]
        Block.objects.bulk_create(Block(blob=blob, index=0, data=os.urandom(SIZE)) for blob in blobs)
        sizes.append(table_size())
        Block.objects.filter(blob__in=blobs).delete()
        assert [vacuums(noted, SIZE) for _ in range(COUNT)] == [False] * (COUNT - 1) + [True]
    assert sizes[-1] < 1.5 * sizes[0]


def test_few_bytes_or_a_small_part_of_the_table_start_no_vacuum(monkeypatch: pytest.MonkeyPatch) -> None:
    noted = Vacuum()
    assert not vacuums(noted, vacuum.MIN_FREED - 1)
    assert vacuums(noted, 1)
    monkeypatch.setattr(vacuum, "SIZE", f"SELECT {(vacuum.MIN_FREED + 1) * vacuum.PART}::bigint")
    assert not vacuums(noted, vacuum.MIN_FREED)
    assert vacuums(noted, 1)


def test_failed_vacuum_is_logged_and_harmless(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(vacuum, "VACUUM", "VACUUM no_such_table")
    with caplog.at_level(logging.WARNING):
        assert vacuums(Vacuum(), vacuum.MIN_FREED)
    assert "could not be vacuumed" in caplog.text and table_size() > 0
