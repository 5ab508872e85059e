"""Checking and scrubbing in process, on both storages."""

import os
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import override_settings

from post3.maintenance import checking, garbage, orphans
from post3.maintenance.checking import Check
from post3.maintenance.scrubbing import LEASE, Scrubber
from post3.models import Blob, Block, Bucket, Object, WorkerState
from post3.services import damage
from post3.storage import StorageError, storages

from ..stores import BLOCKS, Store
from .test_garbage import in_threads

SMALL, LARGE = 1000, 2_500_000


@pytest.fixture(params=["filesystem", "database"])
def store(request: pytest.FixtureRequest, catalogue: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """Yield a bucket on each storage. Batches are small, so that there are several."""
    backends = {
        "filesystem": {"BACKEND": "post3.storage.filesystem.FilesystemStorage", "OPTIONS": {"location": str(tmp_path)}},
        "database": BLOCKS,
    }
    monkeypatch.setattr(checking, "BATCH", 2)
    monkeypatch.setattr(orphans, "BATCH", 2)
    monkeypatch.setattr(orphans, "RECHECK_DELAY", 0.0)
    changed = {"POST3_GARBAGE_GRACE_SECONDS": 0, "POST3_MIN_PART_SIZE": 1, "POST3_SCRUB_BYTES_PER_SECOND": 1 << 40}
    with override_settings(POST3_STORAGES={"STANDARD": backends[request.param]}, **changed):
        owner = get_user_model().objects.create_user("owner")
        Bucket.objects.create(name="bucket", owner=owner, region="us-east-1")
        yield Store(owner.pk, tmp_path)


def found(**options: Any) -> list[tuple[str, bool]]:
    return sorted((finding.kind, finding.repaired) for finding in Check(**options).run())


def filled(store: Store) -> None:
    for number in range(3):
        store.put(f"small {number}", SMALL)
    store.put("empty", 0)
    store.put("large", LARGE)
    store.copy("large", "copy")
    upload = store.begin("parts")
    store.complete(upload, *[store.part(upload, number, b"x" * SMALL) for number in (1, 2)])


def flip(store: Store, blob: Blob) -> None:
    """Change the first byte of a blob from x to y, or back."""
    if blob.name:
        path = store.directory / blob.name
        data = path.read_bytes()
        path.write_bytes(bytes([data[0] ^ 1]) + data[1:])
        return
    block = Block.objects.get(blob=blob, index=0)
    data = bytes(block.data)
    Block.objects.filter(blob=blob, index=0).update(data=bytes([data[0] ^ 1]) + data[1:])


def blob_of(key: str) -> Blob:
    return Object.objects.get(key=key).blob


def test_new_objects_have_no_faults(store: Store) -> None:
    filled(store)
    check = Check(verify=True, min_age=0)
    assert list(check.run()) == []
    assert check.counts.verified == check.counts.bytes == 5 * SMALL + LARGE
    assert (check.counts.blobs, check.counts.objects, check.counts.collectable) == (6, 7, 0)
    store.delete("small 0")
    assert list((check := Check(min_age=0)).run()) == [] and check.counts.collectable == 1


def test_lost_bytes_are_missing(store: Store) -> None:
    filled(store)
    blob = blob_of("large")
    garbage.storages["STANDARD"].delete(damage.ref_of(blob))
    findings = list(Check().run())
    assert [(finding.kind, set(finding.affected)) for finding in findings] == [
        ("missing", {("bucket", "large"), ("bucket", "copy")})
    ]


def test_verify_finds_wrong_bytes_with_and_without_a_crc(store: Store) -> None:
    filled(store)
    Blob.objects.update(crc64nvme=None)
    flip(store, blob_of("small 1"))
    assert found() == []
    assert found(verify=True) == [("damaged", False)]
    assert Blob.objects.filter(crc64nvme=None).count() == 1, "the others must have one now"
    Blob.objects.filter(crc64nvme=None).update(crc64nvme="AAAAAAAAAAA=")
    assert found(verify=True, repair=True) == [("damaged", False)]
    assert blob_of("small 1").state == Blob.State.DAMAGED


def test_damaged_blob_is_collected_once_nothing_refers_to_it(store: Store) -> None:
    filled(store)
    Blob.objects.filter(pk=blob_of("small 1").pk).update(state=Blob.State.DAMAGED)
    store.delete("small 1")
    assert garbage.collect_garbage() == 1
    assert found() == []


def test_inconsistent_states_and_sizes(store: Store) -> None:
    filled(store)
    Blob.objects.filter(pk=blob_of("small 0").pk).update(state=Blob.State.PENDING)
    Object.objects.filter(key="parts").update(size=1)
    kinds = {kind for kind, _ in found()}
    assert kinds >= {"unreadable_state", "wrong_size"}


def test_descriptions_are_rewritten(store: Store) -> None:
    filled(store)
    sidecars = dict(Object.objects.exclude(sidecar="").values_list("key", "sidecar"))
    if not sidecars:
        pytest.skip("this storage keeps no descriptions")
    paths = {key: store.directory / f"{sidecar}.json" for key, sidecar in sidecars.items()}
    before = {key: path.read_bytes() for key, path in paths.items()}
    paths["large"].unlink()
    paths["parts"].write_bytes(b"{")
    paths["copy"].write_bytes(before["large"])
    assert found() == [("description", False)] * 3
    assert found(repair=True) == [("description", True)] * 3
    assert {key: path.read_bytes() for key, path in paths.items()} == before
    assert found() == []


def test_old_orphans_are_removed(store: Store) -> None:
    filled(store)
    if not any(store.directory.iterdir()):
        pytest.skip("a foreign key ties blocks to their blob")
    storage = garbage.storages["STANDARD"]
    for age in (7200, 10):
        ref = damage.BlobRef(0, storage.new_name(f"bucket/{age}"), 4, 0)
        storage.save_before_sidecar(ref, b"lost")
        storage.write_sidecar(ref.name, b"{}")
        for name in (ref.name, f"{ref.name}.json"):
            os.utime(store.directory / name, (time.time() - age,) * 2)
    wanted = ["orphan", "orphan_description"]
    assert found(min_age=3600) == [(kind, False) for kind in wanted]
    assert found(min_age=3600, repair=True) == [(kind, True) for kind in wanted]
    assert found(min_age=3600) == []
    assert (store.directory / ref.name).exists(), "a new file may belong to a PUT in progress"
    Object.objects.all().delete()
    assert ("orphan", True) not in found(min_age=0, repair=True), "a lost catalogue must not cause all bytes to be removed"


def scrub_round(scrubber: Scrubber) -> int:
    """Scrub until the round is complete. Return the number of bytes read."""
    size = 0
    for _ in range(1000):
        size += scrubber.scrub()
        if size and WorkerState.objects.get(name="scrub").position == 0:
            return size
    raise AssertionError("the round does not end")


def test_scrubbing_reads_everything_and_marks_damage(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    filled(store)
    scrubber = Scrubber()
    assert scrub_round(scrubber) == 5 * SMALL + LARGE
    flip(store, blob_of("copy"))
    assert scrub_round(scrubber) == 5 * SMALL + LARGE
    assert blob_of("copy").state == Blob.State.DAMAGED
    assert "bucket/large" in caplog.text and "bucket/copy" in caplog.text
    states = {state.name: (state.count, state.size) for state in WorkerState.objects.all()}
    assert states == {"scrub": (12, 2 * (5 * SMALL + LARGE)), "damaged": (1, LARGE)}
    flip(store, blob_of("copy"))
    assert found(repair=True) == [("restored", True)] and store.read("copy") == b"x" * LARGE


def test_scrubbing_is_limited_and_done_by_one_worker_at_a_time(store: Store) -> None:
    filled(store)
    first, second = Scrubber(), Scrubber()
    with override_settings(POST3_SCRUB_BYTES_PER_SECOND=0):
        assert first.scrub() == 0
    with override_settings(POST3_SCRUB_BYTES_PER_SECOND=100):
        assert first.scrub() == 0, "no time has passed"
        WorkerState.objects.update(updated_at=datetime.now(UTC) - timedelta(seconds=5))
        assert 500 <= first.scrub() < 1000
        assert second.scrub() == 0
        WorkerState.objects.update(updated_at=datetime.now(UTC) - timedelta(seconds=LEASE + 1))
        assert second.scrub() > 0
        assert first.scrub() == 0


def test_no_false_alarm_while_others_write_and_collect(store: Store) -> None:
    filled(store)
    ended = time.monotonic() + 2

    def write() -> None:
        number = 0
        while time.monotonic() < ended:
            number += 1
            for size in (SMALL, LARGE):
                store.put("busy", size + number)
                store.copy("busy", f"copy {number % 3}")
                store.delete("busy")

    def collect() -> None:
        while time.monotonic() < ended:
            garbage.collect_garbage()
            time.sleep(0.01)

    def check() -> list[Any]:
        findings = []
        while time.monotonic() < ended:
            findings += Check(verify=True, repair=True).run()
        return findings

    assert in_threads(write, collect, check)[2] == []
    assert found(verify=True) == []
    assert all(store.read(key) for key in Object.objects.exclude(size=0).values_list("key", flat=True))


def test_check_ends_even_if_others_write_fast(store: Store) -> None:
    filled(store)
    for verify in (True, False):
        rows = Blob.objects.count() + Object.objects.count()
        told: list[str] = []

        def write(doing: str, done: int, total: int, told: list[str] = told, most: int = 3 * rows) -> None:
            if doing in ("bytes", "blobs", "objects"):
                told.append(doing)
                assert len(told) <= most, "the check follows objects written after it started"
                store.put(f"written meanwhile {most} {len(told)}", SMALL)

        assert list(Check(verify=verify, tell=write).run()) == []


def test_unmounted_disk_does_not_mean_missing_bytes(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    filled(store)
    if not any(store.directory.iterdir()):
        pytest.skip("blocks are in the catalogue's database")
    away = store.directory.with_name("away")
    store.directory.rename(away)
    storages.reset()  # as after a restart, which creates a missing directory
    with pytest.raises(StorageError, match="holds nothing at all"):
        list(Check(repair=True).run())
    WorkerState.objects.create(name="scrub", size=1)
    WorkerState.objects.update(updated_at=datetime.now(UTC) - timedelta(seconds=LEASE + 1))
    assert Scrubber().scrub() == 0 and "holds nothing at all" in caplog.text
    assert WorkerState.objects.get(name="scrub").position < Blob.objects.order_by("pk")[0].pk, "must resume where it stopped"
    assert not Blob.objects.filter(state=Blob.State.DAMAGED).exists()
    shutil.rmtree(store.directory)
    away.rename(store.directory)
    storages.reset()
    assert found(verify=True, repair=True) == []


def test_repair_keeps_correct_bytes_followed_by_more(store: Store) -> None:
    filled(store)
    blob = blob_of("large")
    if blob.name:
        with open(store.directory / blob.name, "ab") as file:
            file.write(b"more")
    else:
        Block.objects.create(blob=blob, index=-(-LARGE // blob.block_size), data=b"more")
    assert found() == [("too_long", False)]
    assert found(repair=True, verify=True) == [("too_long", False)]
    assert store.read("large") == b"x" * LARGE
