"""Small bodies in the rows of their objects: read, copied, overwritten, checked and scrubbed like others."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from post3.maintenance.checking import Check
from post3.maintenance.garbage import collect_garbage
from post3.maintenance.scrubbing import LEASE, ROWS, Scrubber
from post3.models import Blob, Object, WorkerState
from post3.services import copies, objects, part_copies
from post3.storage.base import BlobDamaged
from post3.values import ByteRange, CompletedPart, Conditions

from ..stores import ALWAYS, BLOCKS, Store, store_on

ROW_SIZE = 4096
SMALL, LARGE = ROW_SIZE, ROW_SIZE + 1


@pytest.fixture
def store(catalogue: Any, tmp_path: Path) -> Iterator[Store]:
    rows = {**BLOCKS, "OPTIONS": {"row_size": ROW_SIZE}}
    with store_on(tmp_path, STANDARD=rows, GLACIER_IR=BLOCKS) as store:
        yield store


def row(key: str) -> Object:
    return Object.objects.get(key=key, is_latest=True)


def damage(key: str) -> None:
    data = bytes(row(key).data or b"")
    Object.objects.filter(key=key).update(data=data[:-1] + bytes([data[-1] ^ 1]))


def test_only_bodies_up_to_the_limit_are_in_the_row(store: Store) -> None:
    for key, size in (("empty", 0), ("one", 1), ("small", SMALL), ("large", LARGE)):
        data = store.put(key, size)
        assert store.read(key) == data
        found = row(key)
        in_row = 0 < size <= ROW_SIZE
        assert (found.data is not None, found.blob_id is not None) == (in_row, size > ROW_SIZE)
        assert bool(found.crc64nvme) == in_row
    assert Blob.objects.count() == 1


def test_ranges_of_bytes_in_a_row(store: Store) -> None:
    store.put("k", 10, b"0123456789")
    data = store.read("k")
    for first, last, expected in ((0, 3, data[:4]), (95, None, data[95:]), (None, 2, data[-2:]), (5, 5, data[5:6])):
        opened = objects.open_object(store.grant, "k", ALWAYS, ByteRange(first, last, ""))
        assert opened.body == expected


def test_an_overwrite_moves_bytes_into_the_row_and_out_of_it(store: Store) -> None:
    for size in (SMALL, LARGE, SMALL, 0, LARGE, 1):
        data = store.put("k", size, b"ab")
        assert store.read("k") == data
        assert (row("k").data is None) == (len(data) > ROW_SIZE or not data)
    collect_garbage()
    assert Blob.objects.count() == 0


def test_a_copy_has_the_bytes_of_its_own(store: Store) -> None:
    data = store.put("source", SMALL)
    store.copy("source", "copy")
    grant = store.grant
    copies.copy_object(grant, "source", ALWAYS, grant, "other sum", None, None, ALWAYS, "SHA256")
    store.copy("source", "in blocks", "GLACIER_IR")
    store.copy("in blocks", "back", "STANDARD")
    store.delete("source")
    for key in ("copy", "other sum", "in blocks", "back"):
        assert store.read(key) == data, key
    assert row("copy").data is not None and row("in blocks").data is None and row("back").data is not None
    assert row("other sum").checksum_algorithm == "SHA256"


def test_parts_are_blobs_and_copied_from_rows(store: Store) -> None:
    data = store.put("source", SMALL)
    upload = store.begin("k")
    first = part_copies.upload_part_copy(store.grant, upload, 1, store.grant, "source", ALWAYS, None)
    second = part_copies.upload_part_copy(store.grant, upload, 2, store.grant, "source", ALWAYS, ByteRange(1, 2, ""))
    assert first.blob_id and second.blob_id
    parts = [CompletedPart(part.part_number, part.etag, {}) for part in (first, second)]
    store.complete(upload, *parts)
    assert store.read("k") == data + data[1:3]


def test_wrong_bytes_are_not_read_or_copied(store: Store) -> None:
    store.put("k", SMALL)
    damage("k")
    with pytest.raises(BlobDamaged):
        store.read("k")
    with pytest.raises(BlobDamaged):
        objects.open_object(store.grant, "k", ALWAYS, ByteRange(0, 0, ""))
    with pytest.raises(BlobDamaged):
        store.copy("k", "copy")
    assert objects.head_object(store.grant, "k", Conditions()).size == SMALL


def test_check_storage_finds_wrong_and_missing_bytes(store: Store) -> None:
    for key in ("correct", "flipped", "cut", "gone"):
        store.put(key, SMALL)
    assert list(Check(verify=True).run()) == []
    damage("flipped")
    Object.objects.filter(key="cut").update(data=b"x")
    Object.objects.filter(key="gone").update(data=None)
    found = {(finding.kind, finding.affected[0][1]) for finding in Check().run()}
    assert found == {("wrong_size", "cut"), ("wrong_size", "gone")}
    check = Check(verify=True)
    found = {(finding.kind, finding.affected[0][1]) for finding in check.run()}
    assert found == {("wrong_size", "cut"), ("wrong_size", "gone"), ("damaged", "flipped")}
    assert check.counts.verified == 2 * SMALL


def test_scrubbing_finds_wrong_bytes_in_rows(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    for number in range(5):
        store.put(f"k{number}", SMALL)
    damage("k3")
    scrubber, read, positions = Scrubber(), [], []
    with override_settings(POST3_SCRUB_BYTES_PER_SECOND=500):
        scrubber.scrub()
        for _ in range(2):
            WorkerState.objects.filter(name="scrub").update(updated_at=datetime.now(UTC) - timedelta(seconds=LEASE + 1))
            read.append(scrubber.scrub())
            positions += WorkerState.objects.filter(name=ROWS).values_list("position", flat=True)
    assert read == [4 * SMALL, SMALL]
    assert positions == [row("k3").pk, 0]
    assert "bucket/k3" in caplog.text and "bucket/k2" not in caplog.text
    assert WorkerState.objects.get(name="damaged").count == 1
