"""Rebuilding the catalogue: rows come back unchanged, after an interruption and into an older catalogue."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import override_settings

from post3.access.accounts import account_id
from post3.access.callers import project_caller
from post3.errors import BucketAlreadyExists, BucketNotEmpty
from post3.maintenance.garbage import collect_garbage
from post3.maintenance.rebuild.owners import OwnerMismatch
from post3.maintenance.rebuild.rebuilding import RebuildRefused
from post3.maintenance.rebuild.rows import BlobRows
from post3.models import Account, Blob, Bucket, Object, ObjectMetadata, WorkerState
from post3.services import buckets, objects
from post3.storage.base import StorageError
from post3.storage.handler import storages

from ..stores import ALWAYS, PLAIN, Body, Store, granted
from .rebuilt import Report, rewrite, sidecar_of

SMALL, LARGE = 1000, 2_500_000


def rows_of(model: Any) -> list[dict[str, Any]]:
    """Return all rows of a model in order, without columns that have no meaning outside this catalogue."""
    ids = {"id", "bucket_id", "blob_id", "object_id", "created_at", "config_version", "revision", "released_at"}
    return [{name: value for name, value in row.items() if name not in ids} for row in model.objects.order_by("pk").values()]


def test_rows_come_back_as_they_were(tree: Store, lose: Callable[[], None]) -> None:
    tree.put("small", SMALL)
    tree.put("large", LARGE)
    tree.put("empty", 0)
    tree.copy("small", "copy")
    upload = tree.begin("parts")
    tree.complete(upload, *(tree.part(upload, number, bytes([number]) * SMALL) for number in (2, 5)))
    tree.copy("parts", "copy of parts")
    keyed = [sorted(rows_of(model), key=str) for model in (Object, ObjectMetadata, Blob, Bucket)]
    created_at = Bucket.objects.get().created_at
    lose()
    report = Report()
    assert (report, report.counts.objects, report.counts.blobs) == ([], 6, 4)
    assert [sorted(rows_of(model), key=str) for model in (Object, ObjectMetadata, Blob, Bucket)] == keyed
    assert Bucket.objects.get().created_at == created_at
    assert all(Blob.objects.values_list("crc64nvme", flat=True))
    tree.delete("small")
    tree.delete("parts")
    assert collect_garbage() == 0  # the copies refer to the bytes
    assert tree.read("copy") == b"x" * SMALL and len(tree.read("copy of parts")) == 2 * SMALL


def test_owners_come_back_under_their_ids(tree: Store, lose: Callable[[], None]) -> None:
    users = get_user_model().objects
    tree.put("k", SMALL)
    other = users.create_user("other")
    objects.put_object(granted("bucket", other.pk), "by the other", PLAIN, Body(b"x"), ALWAYS)
    lose()
    report = Report()
    assert report.users == {tree.owner: "owner", other.pk: "other"}
    assert dict(Object.objects.values_list("key", "owner_id")) == {"k": tree.owner, "by the other": other.pk}
    assert not any(user.has_usable_password() or user.is_superuser for user in users.all())
    assert users.create_user("new").pk > other.pk


def test_owner_id_of_another_user_is_refused(tree: Store, lose: Callable[[], None]) -> None:
    tree.put("k", SMALL)
    lose()
    get_user_model().objects.create_user("admin", pk=tree.owner)
    with pytest.raises(OwnerMismatch, match=r"'owner' has the id .* 'admin'"):
        Report()
    assert Report(merge=True).users == {}
    assert Object.objects.get().owner.username == "admin"


def test_owner_whose_name_is_taken_gets_another_name(tree: Store, lose: Callable[[], None]) -> None:
    lose()
    get_user_model().objects.create_user("owner", pk=tree.owner + 1)
    assert Report().users == {tree.owner: f"owner-{tree.owner}"}


def test_descriptions_of_format_1_are_read(tree: Store, lose: Callable[[], None]) -> None:
    tree.put("k", LARGE)
    upload = tree.begin("parts")
    tree.complete(upload, tree.part(upload, 1, b"1" * SMALL))
    for key in ("k", "parts"):
        path = sidecar_of(tree, key)
        old = [
            {name: part[name] for name in ("part_number", "size", "checksum", "blob")}
            for part in json.loads(path.read_bytes())["parts"]
        ]
        rewrite(path, format=1, owner=None, upload_id=None, crc64nvme=None, parts=old)
    Path(tree.directory, "bucket", "bucket.json").unlink()
    oldest = min(Object.objects.values_list("last_modified", flat=True))
    lose()
    report = Report()
    assert report.reasons == ["this bucket has no description: its owner, region and date are guesses"]
    assert Bucket.objects.values_list("owner__username", "region", "created_at").get() == (
        f"owner-{tree.owner}",
        "us-east-1",
        oldest,
    )
    assert set(Blob.objects.values_list("crc64nvme", flat=True)) == {None}
    assert tree.read("k") == b"x" * LARGE and tree.read("parts") == b"1" * SMALL
    lose()
    assert Report(verify=True).counts.verified == LARGE + SMALL
    assert all(Blob.objects.values_list("crc64nvme", flat=True))


def test_newest_description_of_a_key_wins(tree: Store, lose: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(6):  # a crash between the commit and removing the old description leaves this
        tree.put("k", SMALL + number)
        path = sidecar_of(tree, "k")
        rewrite(path, last_modified=(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=number * 5 % 6)).isoformat())
        monkeypatch.setattr(storages["STANDARD"], "delete_sidecar", lambda name, durable=True: None)
    for batch in (1, 4, 1000):
        lose()
        monkeypatch.setattr("post3.maintenance.rebuild.rebuilding.BATCH", batch)
        report = Report()
        assert report == []
        assert (report.counts.objects, report.counts.superseded, Object.objects.count()) == (1, 5, 1)
        assert len(tree.read("k")) == SMALL + 1  # the object of minute 5


def test_verify_marks_damaged_bytes(tree: Store, lose: Callable[[], None]) -> None:
    for key, size in (("small", SMALL), ("large", LARGE), ("whole", SMALL)):
        tree.put(key, size)
    tree.copy("small", "copy of small")
    paths = {key: Path(tree.directory, Object.objects.get(key=key).blob.name) for key in ("small", "large")}
    rewrite(sidecar_of(tree, "large"), format=1, crc64nvme=None)  # then its MD5 reveals the damage
    for path in paths.values():
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    lose()
    assert Report().counts.objects == 4  # without --verify, bytes are not read
    lose()
    report = Report(verify=True)
    assert report.counts.verified == 2 * SMALL + LARGE  # each blob once
    assert sorted(reason.split(":")[0] for reason in report.reasons) == ["bucket/copy of small", "bucket/large", "bucket/small"]
    assert Object.objects.count() == 4 and tree.read("whole") == b"x" * SMALL
    for key in ("small", "copy of small", "large"):
        with pytest.raises(StorageError):
            tree.read(key)


def test_catalogue_that_is_not_empty_is_refused(tree: Store) -> None:
    with pytest.raises(RebuildRefused, match="already has buckets"):
        Report()


def test_without_a_describing_storage_it_is_refused(catalogue: Any) -> None:
    database = {"STANDARD": {"BACKEND": "post3.storage.database.DatabaseStorage"}}
    with override_settings(POST3_STORAGES=database), pytest.raises(RebuildRefused, match="keeps descriptions"):
        Report()


def test_interrupted_rebuild_is_resumed(tree: Store, lose: Callable[[], None], monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(10):
        tree.put(f"{number}", SMALL)
    tree.copy("0", "copy")
    lose()
    monkeypatch.setattr("post3.maintenance.rebuild.rebuilding.BATCH", 2)
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


def test_merge_adds_what_an_older_catalogue_lacks(tree: Store) -> None:
    """As after restoring yesterday's catalogue."""
    for key in ("same", "overwritten since", "replaced in place"):
        tree.put(key, SMALL)
    path = sidecar_of(tree, "same")
    older = Object.objects.get(key="overwritten since")
    tree.put("overwritten since", LARGE)
    newer = sidecar_of(tree, "overwritten since")
    tree.put("new since", SMALL + 1)
    buckets.create_bucket("new-bucket", project_caller(tree.owner), None)
    # In the older catalogue, the blob of the large body was pending.
    Blob.objects.filter(size=LARGE).update(state=Blob.State.PENDING, size=0, md5="", crc64nvme=None)
    Object.objects.filter(key="overwritten since").update(
        blob=older.blob_id, size=SMALL, sidecar=older.sidecar, last_modified=older.last_modified, revision=7
    )
    Object.objects.filter(key="new since").delete()
    Bucket.objects.filter(name="new-bucket").delete()
    report = Report(merge=True)
    assert (report, report.counts.buckets, report.counts.objects, report.counts.known) == ([], 1, 2, 2)
    assert path.exists() and newer.exists()
    assert tree.read("overwritten since") == b"x" * LARGE and tree.read("new since") == b"x" * (SMALL + 1)
    assert Object.objects.get(key="overwritten since").revision == 8
    assert Blob.objects.get(size=LARGE).state == Blob.State.STORED
    assert Report(merge=True).counts.objects == 0


def test_bucket_that_is_refused_leaves_the_description_alone(tree: Store) -> None:
    path = Path(tree.directory, "bucket", "bucket.json")
    document = path.read_bytes()
    other = get_user_model().objects.create_user("other")
    with pytest.raises(BucketAlreadyExists):
        buckets.create_bucket("bucket", project_caller(other.pk), "eu-west-1")
    tree.put("k", SMALL)
    with pytest.raises(BucketNotEmpty):
        buckets.delete_bucket(tree.grant)
    assert path.read_bytes() == document and json.loads(document)["owner"] == "owner"


def test_bucket_that_cannot_be_described_is_not_created(tree: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str, document: bytes) -> None:
        raise StorageError("the disk is gone")

    monkeypatch.setattr(storages["STANDARD"], "write_bucket_sidecar", fail)
    with pytest.raises(StorageError):
        buckets.create_bucket("new", project_caller(tree.owner), None)
    assert list(Bucket.objects.values_list("name", flat=True)) == ["bucket"]


def test_missing_and_outdated_descriptions_of_buckets_are_written(tree: Store) -> None:
    path = Path(tree.directory, "bucket", "bucket.json")
    document = path.read_bytes()
    path.unlink()
    assert buckets.describe_buckets() == 1 and path.read_bytes() == document
    assert buckets.describe_buckets() == 0
    for outdated in ({"account": None}, {"versioning": None}, {"owner": "other"}):
        rewrite(path, **outdated)
        assert buckets.describe_buckets() == 1 and path.read_bytes() == document
    for damaged in (b"", b"[]", document[:-1]):
        path.write_bytes(damaged)
        assert buckets.describe_buckets() == 1 and path.read_bytes() == document
    rewrite(path, format=3, added="by a newer release")
    assert buckets.describe_buckets() == 0
    buckets.delete_bucket(tree.grant)
    assert not path.exists()


#: A value other than the default for each setting of a bucket. The description of the bucket must contain it.
SETTINGS = {"region": "eu-west-1", "versioning": "Suspended"}


def test_settings_of_a_bucket_come_back(tree: Store, lose: Callable[[], None]) -> None:
    others = {"id", "name", "owner_id", "created_at", "config_version"}
    assert {field.attname for field in Bucket._meta.concrete_fields} - others == SETTINGS.keys()
    Bucket.objects.update(**SETTINGS)
    assert buckets.describe_buckets() == 1
    before = rows_of(Bucket)
    lose()
    assert Report() == []
    assert rows_of(Bucket) == before


def test_versioning_of_a_bucket_described_by_an_older_release(tree: Store, lose: Callable[[], None]) -> None:
    rewrite(Path(tree.directory, "bucket", "bucket.json"), versioning=None)
    lose()
    assert Report() == []
    assert Bucket.objects.get().versioning == Bucket.Versioning.NEVER


def test_versioning_that_does_not_exist_is_reported(tree: Store, lose: Callable[[], None]) -> None:
    rewrite(Path(tree.directory, "bucket", "bucket.json"), versioning="Paused")
    lose()
    (reason,) = Report().reasons
    assert reason.endswith("its versioning is 'Paused', which this release does not support")
    assert not Bucket.objects.exists()


def test_account_keeps_its_id(tree: Store, lose: Callable[[], None]) -> None:
    known = account_id()
    tree.put("k", SMALL)
    lose()
    Account.objects.all().delete()  # a new catalogue has a new account
    assert account_id() != known
    assert Report() == []
    assert account_id() == known


def test_account_of_a_catalogue_that_is_merged_into_stays(tree: Store, lose: Callable[[], None]) -> None:
    tree.put("k", SMALL)
    lose()
    Account.objects.all().delete()
    known = account_id()
    assert Report(merge=True) == []
    assert account_id() == known
