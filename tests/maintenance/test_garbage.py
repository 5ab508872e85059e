"""Garbage collection on both storages: unreferenced bytes and rows are removed, referenced ones stay."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, connections, transaction
from django.test import override_settings

from post3.errors import NoSuchUpload
from post3.maintenance import garbage
from post3.maintenance.garbage import collect_garbage
from post3.models import Blob, Bucket, MultipartUpload, Object, UploadPart, WorkerState
from post3.services import blobs, multipart, objects
from post3.storage import BlobRef, StorageError
from post3.storage.database import blocks
from post3.storage.handler import storages

from ..stores import ALWAYS, BLOCKS, PLAIN, Body, Store, granted

#: More than one statement stores, and more than is held in memory.
SMALL, LARGE = 1000, 2_500_000


@pytest.fixture(params=["filesystem", "database"])
def store(request: pytest.FixtureRequest, catalogue: Any, tmp_path: Path) -> Iterator[Store]:
    """Yield a bucket on each storage, with no grace period and no minimum part size."""
    backends = {
        "filesystem": {"BACKEND": "post3.storage.filesystem.FilesystemStorage", "OPTIONS": {"location": str(tmp_path)}},
        "database": BLOCKS,
    }
    changed = {"POST3_GARBAGE_GRACE_SECONDS": 0, "POST3_MIN_PART_SIZE": 1}
    with override_settings(POST3_STORAGES={"STANDARD": backends[request.param]}, **changed):
        owner = get_user_model().objects.create_user("owner")
        Bucket.objects.create(name="bucket", owner=owner, region="us-east-1")
        yield Store(owner.pk, tmp_path)


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_deleted_object_is_collected(store: Store, size: int) -> None:
    store.put("k", size)
    assert collect_garbage() == 0 and store.bytes_left() == size
    store.delete("k")
    assert store.bytes_left() == size  # a DELETE does not wait for bytes to be removed
    assert collect_garbage() == 1
    assert (Blob.objects.count(), store.bytes_left()) == (0, 0)
    assert collect_garbage() == 0


def test_damaged_bytes_stay_until_their_object_is_deleted(store: Store) -> None:
    store.put("k", SMALL)
    Blob.objects.update(state=Blob.State.DAMAGED, released_at=datetime.now(UTC) - timedelta(seconds=61))
    assert collect_garbage() == 0 and Blob.objects.get().state == Blob.State.DAMAGED
    store.delete("k")
    assert collect_garbage() == 1
    assert (Blob.objects.count(), store.bytes_left()) == (0, 0)


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_overwritten_bytes_are_collected_and_the_new_ones_stay(store: Store, size: int) -> None:
    for number in range(3):
        data = store.put("k", size + number)
    assert collect_garbage() == 2
    assert store.read("k") == data and store.bytes_left() == len(data)


def test_released_bytes_stay_for_the_grace_period(store: Store) -> None:
    store.put("k", LARGE)
    body = objects.open_object(store.grant, "k", ALWAYS).body
    beginning = next(body)
    store.delete("k")
    with override_settings(POST3_GARBAGE_GRACE_SECONDS=60):
        assert collect_garbage() == 0
        assert beginning + b"".join(body) == b"x" * LARGE  # a download in progress
        Blob.objects.update(released_at=datetime.now(UTC) - timedelta(seconds=61))
        assert collect_garbage() == 1
    assert store.bytes_left() == 0


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_bytes_shared_by_copies_stay_until_the_last_is_deleted(store: Store, size: int) -> None:
    data = store.put("a", size)
    store.copy("a", "b")
    store.copy("b", "c")
    store.delete("a")
    assert collect_garbage() == 0 and store.read("b") == store.read("c") == data
    assert not Blob.objects.filter(released_at__isnull=False).exists()  # must not be checked again and again
    store.put("b", 1)
    assert collect_garbage() == 0 and store.read("c") == data
    store.delete("c")
    assert collect_garbage() == 1
    assert store.read("b") == b"x" and store.bytes_left() == 1


def test_parts_of_an_aborted_upload_are_collected(store: Store) -> None:
    upload = store.begin("k")
    for number in (1, 2, 3):
        store.part(upload, number, b"x" * LARGE)
    store.part(upload, 3, b"y" * SMALL)
    assert collect_garbage() == 1 and store.bytes_left() == 2 * LARGE + SMALL  # the replaced part
    multipart.abort_multipart_upload(store.grant, "k", upload.upload_id)
    assert collect_garbage() == 3
    assert (Blob.objects.count(), UploadPart.objects.count(), store.bytes_left()) == (0, 0, 0)


def test_parts_of_a_completed_upload_stay_and_unlisted_ones_are_collected(store: Store) -> None:
    upload = store.begin("k")
    parts = [store.part(upload, number, b"%d" % number * LARGE) for number in (1, 2, 3)]
    store.complete(upload, parts[0], parts[2])
    assert collect_garbage() == 1
    assert store.read("k") == b"1" * LARGE + b"3" * LARGE
    store.copy("k", "copy")
    store.delete("k")
    assert collect_garbage() == 0 and store.read("copy") == b"1" * LARGE + b"3" * LARGE
    store.delete("copy")
    assert collect_garbage() == 2 and store.bytes_left() == 0


def test_abandoned_pending_bytes_are_collected_after_their_time(store: Store) -> None:
    saved = blobs.save(storages["STANDARD"], "bucket", "k", Body(b"x" * LARGE), described=True)  # then the process dies
    assert saved.size == LARGE and collect_garbage() == 0 and store.bytes_left() == LARGE
    with override_settings(POST3_PENDING_UPLOAD_SECONDS=0):
        assert collect_garbage() == 1
    assert (Blob.objects.count(), store.bytes_left()) == (0, 0)


def test_interrupted_body_leaves_nothing(store: Store) -> None:
    class Cut(Body):
        def read(self, size: int = -1, /) -> bytes:
            data = super().read(size)
            if not data:
                raise ConnectionError("cut off")
            return data

    for size in (SMALL, LARGE):
        with pytest.raises(ConnectionError):
            objects.put_object(granted("bucket", store.owner), "k", PLAIN, Cut(b"x" * size), ALWAYS)
    assert (Blob.objects.count(), Object.objects.count(), store.bytes_left()) == (0, 0, 0)


def test_bucket_deleted_by_sql_releases_everything(store: Store) -> None:
    store.put("small", SMALL)
    store.put("large", LARGE)
    for key in ("done", "under way"):
        upload = store.begin(key)
        part = store.part(upload, 1, b"x" * SMALL)
        if key == "done":
            store.complete(upload, part)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM post3_bucket")
        for table in ("object", "objectmetadata", "objectpart", "multipartupload", "uploadpart"):
            cursor.execute(f"SELECT count(*) FROM post3_{table}")
            assert cursor.fetchone() == (0,), table
    assert Blob.objects.count() == 4
    assert collect_garbage() == 4
    assert (Blob.objects.count(), store.bytes_left()) == (0, 0)


def test_interrupted_deletion_is_resumed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put("k", LARGE)
    store.delete("k")

    def fail(refs: Any) -> None:
        raise StorageError("the disk is gone")

    with monkeypatch.context() as patch:
        patch.setattr(storages["STANDARD"], "delete_small", fail)
        assert collect_garbage() == 0
    assert Blob.objects.get().state == Blob.State.DELETING and store.bytes_left() == LARGE
    assert collect_garbage() == 0  # another worker may be processing it
    Blob.objects.update(released_at=datetime.now(UTC) - timedelta(seconds=61))
    assert collect_garbage() == 1 and store.bytes_left() == 0


def test_more_than_a_batch_is_collected_in_one_pass(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garbage, "BATCH", 3)
    for number in range(10):
        store.put("k", SMALL + number)
    store.copy("k", "shared")
    store.delete("k")
    assert collect_garbage() == 9
    assert store.bytes_left() == SMALL + 9 and len(store.read("shared")) == SMALL + 9


def in_threads(*works: Callable[[], Any]) -> list[Any]:
    """Run all in parallel, each on its own connection. Return their results in order, or raise an exception of one."""
    results: list[Any] = [None] * len(works)
    start = threading.Barrier(len(works))

    def run(number: int) -> None:
        try:
            start.wait(10)
            results[number] = works[number]()
        except BaseException as error:
            results[number] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return results


def test_concurrent_workers_delete_each_blob_once(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer at a time, and only one worker")
    monkeypatch.setattr(garbage, "BATCH", 4)
    for number in range(60):
        store.put(f"{number}", SMALL)
        store.delete(f"{number}")
    deleted: list[int] = []
    storage = storages["STANDARD"]
    delete = storage.delete_small

    def note(refs: list[BlobRef]) -> list[BlobRef]:
        deleted.extend(ref.id for ref in refs)
        return delete(refs)

    monkeypatch.setattr(storage, "delete_small", note)
    counts = in_threads(collect_garbage, collect_garbage, collect_garbage)
    assert sum(counts) == 60 and len(deleted) == len(set(deleted)) == 60
    assert (Blob.objects.count(), store.bytes_left()) == (0, 0)
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "WARNING")]


def test_copies_made_while_a_worker_collects_keep_their_bytes(store: Store) -> None:
    data = store.put("source", SMALL, b"s")
    for number in range(20):
        store.copy("source", f"copy {number}")

    def copy_about() -> int:
        for number in range(20):
            store.copy(f"copy {number}", f"new {number}")
            store.delete(f"copy {number}")
        return 0

    store.delete("source")
    assert sum(in_threads(copy_about, collect_garbage, lambda: sum(collect_garbage() for _ in range(20)))) == 0
    assert all(store.read(f"new {number}") == data for number in range(20))


def work_done() -> dict[str, tuple[int, int]]:
    return {state.name: (state.count, state.size) for state in WorkerState.objects.all()}


def test_unfinished_uploads_are_aborted_a_week_after_their_last_part(store: Store) -> None:
    old, active, young = store.begin("old"), store.begin("active"), store.begin("young")
    for upload in (old, active):
        store.part(upload, 1, b"x" * LARGE)
        store.part(upload, 2, b"y" * SMALL)
    long_ago = datetime.now(UTC) - timedelta(days=8)
    MultipartUpload.objects.exclude(pk=young.pk).update(initiated_at=long_ago)
    UploadPart.objects.update(last_modified=long_ago)
    store.part(active, 2, b"z" * SMALL)  # replaces an old one
    with override_settings(POST3_MULTIPART_UPLOAD_SECONDS=0):
        assert collect_garbage() == 1  # the replaced part
    assert collect_garbage() == 1 + 2
    assert set(MultipartUpload.objects.values_list("key", flat=True)) == {"active", "young"}
    assert store.bytes_left() == LARGE + SMALL
    assert work_done() == {"blobs_collected": (3, LARGE + 2 * SMALL), "uploads_expired": (1, LARGE + SMALL)}
    with pytest.raises(NoSuchUpload):
        store.part(old, 3, b"x")
    assert collect_garbage() == 0


def test_upload_that_is_being_completed_does_not_expire(store: Store) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer at a time")
    upload = store.begin("k")
    part = store.part(upload, 1, b"x" * SMALL)
    long_ago = datetime.now(UTC) - timedelta(days=8)
    MultipartUpload.objects.update(initiated_at=long_ago)
    UploadPart.objects.update(last_modified=long_ago)
    with transaction.atomic():
        multipart.find_upload(store.grant, "k", upload.upload_id, lock=True)  # as CompleteMultipartUpload does
        assert in_threads(collect_garbage) == [0]
    store.complete(upload, part)
    assert collect_garbage() == 0 and store.read("k") == b"x" * SMALL


def test_large_deletion_rests_stops_and_is_resumed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garbage, "MAX_SMALL_SIZE", 1_000_000)
    monkeypatch.setattr(blocks, "DELETE_STEP", 1)
    store.put("k", LARGE)
    store.put("other", SMALL)
    store.delete("k")
    rests: list[float] = []

    def stop_at_once(seconds: float) -> bool:
        rests.append(seconds)
        return True

    collect_garbage(stop_at_once)
    assert len(rests) == 1 and Blob.objects.get(size=LARGE).state == Blob.State.DELETING
    Blob.objects.filter(size=LARGE).update(released_at=datetime.now(UTC) - timedelta(seconds=61))
    assert collect_garbage(lambda seconds: bool(rests.append(seconds))) == 1
    assert store.bytes_left() == SMALL and all(seconds >= 0 for seconds in rests)
    assert work_done() == {"blobs_collected": (1, LARGE)}
