"""Figures of the catalogue: counted by the worker, reported by the server, and their cost."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import OperationalError
from django.test.utils import CaptureQueriesContext

from post3.models import Blob, WorkerState
from post3.telemetry import catalogue_figures


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue_figures, "REMEMBER_SECONDS", 0.0)
    monkeypatch.setattr(catalogue_figures._remembered, "until", 0.0)
    monkeypatch.setattr(catalogue_figures._measuring, "pause", catalogue_figures.MEASURE_SECONDS)


def blob(size: int, state: Blob.State = Blob.State.STORED, released: datetime | None = None) -> Blob:
    now = datetime.now(UTC)
    return Blob.objects.create(storage_class="STANDARD", size=size, state=state, created_at=now, released_at=released)


def test_stored_figures_are_the_workers_last_count(catalogue: Any) -> None:
    assert catalogue_figures.read_figures().stored == {}
    blob(10), blob(20), blob(5, Blob.State.DAMAGED)
    assert catalogue_figures.measure_storage_if_due()
    stored = catalogue_figures.read_figures().stored
    assert {place: (amount.count, amount.size) for place, amount in stored.items()} == {
        ("objects", "STANDARD"): (0, 0),
        ("blobs", "STANDARD"): (2, 30),
        ("damaged", "STANDARD"): (1, 5),
    }
    Blob.objects.all().delete()
    assert not catalogue_figures.measure_storage_if_due(), "counted again immediately"
    assert catalogue_figures.read_figures().stored["blobs", "STANDARD"].count == 2
    WorkerState.objects.update(updated_at=datetime.now(UTC) - timedelta(seconds=catalogue_figures.MEASURE_SECONDS + 1))
    assert catalogue_figures.measure_storage_if_due()
    assert catalogue_figures.read_figures().stored["blobs", "STANDARD"].count == 0


def test_backlogs_are_reported_immediately_and_counted_up_to_a_limit(catalogue: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    old = datetime.now(UTC) - timedelta(hours=2)
    for number in range(5):
        blob(100, released=old + timedelta(minutes=number))
    blob(0, Blob.State.PENDING)
    found = catalogue_figures.read_figures()
    assert (found.garbage, found.garbage_size, found.pending, found.uploads) == (5, 500, 1, 0)
    assert 7200 <= found.garbage_age < 7300
    monkeypatch.setattr(catalogue_figures, "COUNT_AT_MOST", 3)
    found = catalogue_figures.read_figures()
    assert (found.garbage, found.garbage_size) == (3, 300)


def test_work_figures_are_all_other_states_of_the_worker(catalogue: Any) -> None:
    WorkerState.objects.create(name="scrub", count=7, size=700, position=3)
    catalogue_figures.measure_storage()
    work = catalogue_figures.read_figures().work
    assert {name: (amount.count, amount.size) for name, amount in work.items()} == {"scrub": (7, 700)}


def test_scrapes_do_not_count_objects(catalogue: Any) -> None:
    catalogue_figures.measure_storage()
    with CaptureQueriesContext(catalogue) as queries:
        catalogue_figures.read_figures()
    texts = [query["sql"] for query in queries]
    assert texts and not [text for text in texts if '"post3_object"' in text], texts


def test_an_unresponsive_database_does_not_fail_a_scrape(
    catalogue: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise OperationalError("gone")

    monkeypatch.setattr(catalogue_figures, "_read", fail)
    assert catalogue_figures.read_figures() is None
    assert "No figures of the catalogue" in caplog.text
