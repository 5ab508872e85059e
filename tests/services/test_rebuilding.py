"""Rebuilding the catalogue from trees that have been through something."""

import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import override_settings

from post3.errors import BucketAlreadyExists, BucketNotEmpty
from post3.models import Blob, Bucket, Object, ObjectMetadata, WorkerState
from post3.services import buckets, objects
from post3.services.garbage import collect_garbage
from post3.services.rebuilding import Fault, Rebuild, RebuildRefused, rebuild_catalog
from post3.services.rebuilding_owners import OwnerMismatch
from post3.services.rebuilding_rows import BlobRows
from post3.storage.base import StorageError
from post3.storage.handler import storages

from ..conftest import _empty
from .store import ALWAYS, PLAIN, Body, Store

SMALL, LARGE = 1000, 2_500_000


@pytest.fixture
def store(catalogue: Any, tmp_path: Path) -> Iterator[Store]:
    storage = {"BACKEND": "post3.storage.filesystem.FilesystemStorage", "OPTIONS": {"location": str(tmp_path)}}
    with override_settings(POST3_STORAGES={"STANDARD": storage}, POST3_GARBAGE_GRACE_SECONDS=0, POST3_MIN_PART_SIZE=1):
        owner = get_user_model().objects.create_user("owner")
        buckets.create_bucket("bucket", owner.pk, None)
        yield Store(owner.pk, tmp_path)


@pytest.fixture
def lose(catalogue: Any) -> Callable[[], None]:
    return lambda: _empty(catalogue)


class Report(list[Fault]):
    """What a rebuild told, and what it counted."""

    def __init__(self, *, verify: bool = False, merge: bool = False) -> None:
        self.rebuild = Rebuild(verify, merge, self.append, lambda counts: None)
        rebuild_catalog(self.rebuild)
        self.counts, self.users = self.rebuild.counts, self.rebuild.users

    @property
    def reasons(self) -> list[str]:
        return [fault.reason for fault in self]


def sidecar_of(store: Store, key: str) -> Path:
    return Path(store.directory, Object.objects.get(key=key).sidecar + ".json")


def rewrite(path: Path, **values: Any) -> None:
    """Change values of a description; None takes one away."""
    document = {**json.loads(path.read_bytes()), **values}
    path.write_text(json.dumps({name: value for name, value in document.items() if value is not None}))


def rows_of(model: Any) -> list[dict[str, Any]]:
    """All rows of a model, without what has no meaning, ordered."""
    ids = {"id", "bucket_id", "blob_id", "object_id", "created_at", "sequence", "released_at"}
    return [{name: value for name, value in row.items() if name not in ids} for row in model.objects.order_by("pk").values()]


def test_rows_come_back_as_they_were(store: Store, lose: Callable[[], None]) -> None:
    store.put("small", SMALL)
    store.put("large", LARGE)
    store.put("empty", 0)
    store.copy("small", "copy")
    upload = store.begin("parts")
    store.complete(upload, *(store.part(upload, number, bytes([number]) * SMALL) for number in (2, 5)))
    store.copy("parts", "copy of parts")
    keyed = [sorted(rows_of(model), key=str) for model in (Object, ObjectMetadata, Blob, Bucket)]
    created_at = Bucket.objects.get().created_at
    lose()
    report = Report()
    assert (report, report.counts.objects, report.counts.blobs) == ([], 6, 4)
    assert [sorted(rows_of(model), key=str) for model in (Object, ObjectMetadata, Blob, Bucket)] == keyed
    assert Bucket.objects.get().created_at == created_at
    assert all(Blob.objects.values_list("crc64nvme", flat=True))
    store.delete("small")
    store.delete("parts")
    assert collect_garbage() == 0  # the copies hold the bytes
    assert store.read("copy") == b"x" * SMALL and len(store.read("copy of parts")) == 2 * SMALL


def test_owners_come_back_under_their_ids(store: Store, lose: Callable[[], None]) -> None:
    users = get_user_model().objects
    store.put("k", SMALL)
    other = users.create_user("other")
    objects.put_object("bucket", "by the other", other.pk, PLAIN, Body(b"x"), ALWAYS)
    lose()
    report = Report()
    assert report.users == {store.owner: "owner", other.pk: "other"}
    assert dict(Object.objects.values_list("key", "owner_id")) == {"k": store.owner, "by the other": other.pk}
    assert not any(user.has_usable_password() or user.is_superuser for user in users.all())
    assert users.create_user("new").pk > other.pk


def test_owner_that_is_somebody_else_now_is_refused(store: Store, lose: Callable[[], None]) -> None:
    store.put("k", SMALL)
    lose()
    get_user_model().objects.create_user("admin", pk=store.owner)
    with pytest.raises(OwnerMismatch, match=r"'owner' has the id .* 'admin'"):
        Report()
    assert Report(merge=True).users == {}
    assert Object.objects.get().owner.username == "admin"


def test_owner_whose_name_is_taken_gets_another(store: Store, lose: Callable[[], None]) -> None:
    lose()
    get_user_model().objects.create_user("owner", pk=store.owner + 1)
    assert Report().users == {store.owner: f"owner-{store.owner}"}


def test_descriptions_of_format_1_are_read(store: Store, lose: Callable[[], None]) -> None:
    store.put("k", LARGE)
    upload = store.begin("parts")
    store.complete(upload, store.part(upload, 1, b"1" * SMALL))
    for key in ("k", "parts"):
        path = sidecar_of(store, key)
        old = [
            {name: part[name] for name in ("part_number", "size", "checksum", "blob")}
            for part in json.loads(path.read_bytes())["parts"]
        ]
        rewrite(path, format=1, owner=None, upload_id=None, crc64nvme=None, parts=old)
    Path(store.directory, "bucket", "bucket.json").unlink()
    oldest = min(Object.objects.values_list("last_modified", flat=True))
    lose()
    report = Report()
    assert report.reasons == ["nothing describes this bucket: its owner, region and date are guesses"]
    assert Bucket.objects.values_list("owner__username", "region", "created_at").get() == (
        f"owner-{store.owner}",
        "us-east-1",
        oldest,
    )
    assert set(Blob.objects.values_list("crc64nvme", flat=True)) == {None}
    assert store.read("k") == b"x" * LARGE and store.read("parts") == b"1" * SMALL
    lose()
    assert Report(verify=True).counts.verified == LARGE + SMALL
    assert all(Blob.objects.values_list("crc64nvme", flat=True))


def test_newest_description_of_a_key_wins(store: Store, lose: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(6):  # as a crash between the commit and the removal of the old description leaves it
        store.put("k", SMALL + number)
        path = sidecar_of(store, "k")
        rewrite(path, last_modified=(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number * 5 % 6)).isoformat())
        monkeypatch.setattr(storages["STANDARD"], "delete_sidecar", lambda name, durable=True: None)
    for batch in (1, 4, 1000):
        lose()
        monkeypatch.setattr("post3.services.rebuilding.BATCH", batch)
        report = Report()
        assert report == []
        assert (report.counts.objects, report.counts.superseded, Object.objects.count()) == (1, 5, 1)
        assert len(store.read("k")) == SMALL + 1  # the one of minute 5


TORN = [
    (b"", "torn"),
    (b"{", "torn"),
    (b"[" * 100_000, "torn"),
    (b"[]", "not a description"),
    (b'{"format": 1}', "key is no text"),
    (b"\xff\xfe", "torn"),
]
WRONG = [
    ({"format": 3}, "format 3"),
    ({"key": ""}, "0 bytes"),
    ({"key": "\ud800"}, "no text the catalogue can hold"),
    ({"key": "a\0"}, "no text the catalogue can hold"),
    ({"key": "x" * 1025}, "no text the catalogue can hold"),
    ({"bucket": ".."}, "can be no bucket"),
    ({"version_id": "3sL4kqtJlcpXroDTDmJ+rmSpXd3dIbrH"}, "of a version"),
    ({"size": -1}, "no number"),
    ({"size": True}, "no number"),
    ({"size": 2**63}, "no number"),
    ({"owner_id": 0}, "no number"),
    ({"owner_id": 2**40}, "no number"),
    ({"blob": ""}, "does not fit its bytes"),
    ({"parts": [{"part_number": 1, "size": SMALL, "checksum": "", "blob": ""}]}, "does not fit"),
    ({"last_modified": "yesterday"}, "no date"),
    ({"last_modified": "0001-01-01T00:00:00+14:00"}, "no moment"),
    ({"metadata": {"a": 1}}, "no text"),
    ({"headers": []}, "missing"),
    ({"blob": "../../etc/passwd"}, "is no name"),
    ({"blob": f"bucket/00/k.{'0' * 32}"}, "none of 1000 bytes is there"),
    ({"size": SMALL + 1}, "1000 of 1001 bytes are there"),
]


@pytest.mark.parametrize(("document", "reason"), TORN)
def test_torn_description_is_told_and_left_out(store: Store, lose: Callable[[], None], document: bytes, reason: str) -> None:
    store.put("whole", SMALL)
    store.put("torn", SMALL)
    sidecar_of(store, "torn").write_bytes(document)
    lose()
    report = Report()
    assert len(report) == report.counts.lost == 1 and reason in report.reasons[0]
    assert list(Object.objects.values_list("key", flat=True)) == ["whole"]


def test_wrong_descriptions_are_told_and_left_out(store: Store, lose: Callable[[], None]) -> None:
    store.put("whole", SMALL)
    expected = {}
    for number, (values, reason) in enumerate(WRONG):
        store.put(f"{number}", SMALL)
        path = sidecar_of(store, f"{number}")
        rewrite(path, **values)
        expected[str(path.relative_to(store.directory))[:-5]] = reason
    lose()
    report = Report()
    told = {fault.name: fault.reason for fault in report}
    assert told.keys() == expected.keys()
    assert {name: reason for name, reason in expected.items() if reason not in told[name]} == {}
    assert list(Object.objects.values_list("key", flat=True)) == ["whole"]
    assert Bucket.objects.count() == 1


def test_foreign_files_are_told_and_are_no_loss(store: Store, lose: Callable[[], None]) -> None:
    store.put("k", SMALL)
    for path in ("lost+found/x", "bucket/README", "bucket/zz/a.json", "bucket/bucket.json.bak"):
        Path(store.directory, path).parent.mkdir(exist_ok=True)
        Path(store.directory, path).write_bytes(b"?")
    os.symlink("/etc", store.directory / "bucket" / "link")
    Path(store.directory, "bucket/00/").mkdir(exist_ok=True)
    os.mkfifo(store.directory / "bucket" / "00" / f"k.{'0' * 32}.json")
    lose()
    report = Report()
    assert not any(fault.is_loss for fault in report) and report.counts.lost == 0
    assert {fault.name for fault in report} == {
        "lost+found",
        "bucket/README",
        "bucket/zz",
        "bucket/bucket.json.bak",
        "bucket/link",
        f"bucket/00/k.{'0' * 32}.json",
    }
    assert Object.objects.count() == 1


def test_unreadable_descriptions_of_buckets_are_told(store: Store, lose: Callable[[], None]) -> None:
    for name in ("torn", "moved"):
        buckets.create_bucket(name, store.owner, None)
    Path(store.directory, "torn", "bucket.json").write_bytes(b"{")
    rewrite(Path(store.directory, "moved", "bucket.json"), bucket="other")
    lose()
    report = Report()
    assert {fault.name for fault in report} == {"torn/bucket", "moved/bucket"} and report.counts.lost == 2
    assert list(Bucket.objects.values_list("name", flat=True)) == ["bucket"]


def test_verify_marks_damaged_bytes(store: Store, lose: Callable[[], None]) -> None:
    for key, size in (("small", SMALL), ("large", LARGE), ("whole", SMALL)):
        store.put(key, size)
    store.copy("small", "copy of small")
    paths = {key: Path(store.directory, Object.objects.get(key=key).blob.name) for key in ("small", "large")}
    rewrite(sidecar_of(store, "large"), format=1, crc64nvme=None)  # then its MD5 tells
    for path in paths.values():
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    lose()
    assert Report().counts.objects == 4  # without --verify nobody looks
    lose()
    report = Report(verify=True)
    assert report.counts.verified == 2 * SMALL + LARGE  # each blob once
    assert sorted(reason.split(":")[0] for reason in report.reasons) == ["bucket/copy of small", "bucket/large", "bucket/small"]
    assert Object.objects.count() == 4 and store.read("whole") == b"x" * SMALL
    for key in ("small", "copy of small", "large"):
        with pytest.raises(StorageError):
            store.read(key)


def test_catalogue_that_holds_something_is_refused(store: Store) -> None:
    with pytest.raises(RebuildRefused, match="holds buckets already"):
        Report()


def test_without_a_describing_storage_it_is_refused(catalogue: Any) -> None:
    database = {"STANDARD": {"BACKEND": "post3.storage.database.DatabaseStorage"}}
    with override_settings(POST3_STORAGES=database), pytest.raises(RebuildRefused, match="keeps descriptions"):
        Report()


def test_interrupted_rebuild_goes_on(store: Store, lose: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(10):
        store.put(f"{number}", SMALL)
    store.copy("0", "copy")
    lose()
    monkeypatch.setattr("post3.services.rebuilding.BATCH", 2)
    need, calls = BlobRows.need, iter(range(4))

    def fail(self: BlobRows, *args: Any) -> Any:
        if next(calls) == 3:
            raise StorageError("the disk is gone")
        return need(self, *args)

    with monkeypatch.context() as patch:
        patch.setattr(BlobRows, "need", fail)
        with pytest.raises(StorageError):
            Report()
    assert Object.objects.count() == 6
    report = Report()
    assert (report, report.counts.known, report.counts.objects) == ([], 6, 5)
    assert (Object.objects.count(), Blob.objects.count()) == (11, 10)
    assert not WorkerState.objects.exists()
    with pytest.raises(RebuildRefused):
        Report()


def test_merge_adds_what_an_older_catalogue_lacks(store: Store) -> None:
    """As after a restore of yesterday's catalogue."""
    for key in ("same", "overwritten since", "replaced in place"):
        store.put(key, SMALL)
    path = sidecar_of(store, "same")
    older = Object.objects.get(key="overwritten since")
    store.put("overwritten since", LARGE)
    newer = sidecar_of(store, "overwritten since")
    store.put("new since", SMALL + 1)
    buckets.create_bucket("new-bucket", store.owner, None)
    # The catalogue of before: the blob of the large body was pending.
    Blob.objects.filter(size=LARGE).update(state=Blob.State.PENDING, size=0, md5="", crc64nvme=None)
    Object.objects.filter(key="overwritten since").update(
        blob=older.blob_id, size=SMALL, sidecar=older.sidecar, last_modified=older.last_modified, sequence=7
    )
    Object.objects.filter(key="new since").delete()
    Bucket.objects.filter(name="new-bucket").delete()
    report = Report(merge=True)
    assert (report, report.counts.buckets, report.counts.objects, report.counts.known) == ([], 1, 2, 2)
    assert path.exists() and newer.exists()
    assert store.read("overwritten since") == b"x" * LARGE and store.read("new since") == b"x" * (SMALL + 1)
    assert Object.objects.get(key="overwritten since").sequence == 8
    assert Blob.objects.get(size=LARGE).state == Blob.State.STORED
    assert Report(merge=True).counts.objects == 0


def test_bucket_that_is_refused_leaves_the_description_alone(store: Store) -> None:
    path = Path(store.directory, "bucket", "bucket.json")
    document = path.read_bytes()
    other = get_user_model().objects.create_user("other")
    with pytest.raises(BucketAlreadyExists):
        buckets.create_bucket("bucket", other.pk, "eu-west-1")
    store.put("k", SMALL)
    with pytest.raises(BucketNotEmpty):
        buckets.delete_bucket("bucket")
    assert path.read_bytes() == document and json.loads(document)["owner"] == "owner"


def test_bucket_that_cannot_be_described_is_not_made(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str, document: bytes) -> None:
        raise StorageError("the disk is gone")

    monkeypatch.setattr(storages["STANDARD"], "write_sidecar", fail)
    with pytest.raises(StorageError):
        buckets.create_bucket("new", store.owner, None)
    assert list(Bucket.objects.values_list("name", flat=True)) == ["bucket"]


def test_buckets_of_older_releases_are_described(store: Store) -> None:
    path = Path(store.directory, "bucket", "bucket.json")
    document = path.read_bytes()
    path.unlink()
    assert buckets.describe_buckets() == 1 and path.read_bytes() == document
    assert buckets.describe_buckets() == 0
    buckets.delete_bucket("bucket")
    assert not path.exists()
