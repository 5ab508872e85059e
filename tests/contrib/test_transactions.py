"""Files are committed and rolled back with the transaction of their rows."""

import json
import threading
from collections.abc import Callable
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.files.base import ContentFile
from django.core.handlers.base import BaseHandler
from django.db import IntegrityError, connection, connections, transaction
from django.test import override_settings

from post3.access.owners import user_name
from post3.api.dispatch import dispatch
from post3.contrib.storage import Post3Storage
from post3.maintenance import garbage
from post3.models import Blob, Bucket
from post3.storage.capabilities import Describing
from post3.storage.handler import storages

Left = Callable[[], dict[str, int]]
#: Empty, small (inline if bytes are in blocks), and large enough for a pending blob.
SIZES = [0, 10, 3 << 20]


class Refused(Exception):
    """Raised by a view after it has stored a file."""


def content(size: int, fill: bytes = b"x") -> ContentFile:
    return ContentFile(fill * size)


def read(storage: Post3Storage, name: str) -> bytes:
    with storage.open(name) as file:
        return file.read()


@pytest.mark.parametrize("size", SIZES)
def test_a_committed_row_has_its_file(storage: Post3Storage, documents: Any, size: int) -> None:
    with transaction.atomic():
        row = documents(title="a")
        row.file.save("a.txt", content(size))
        assert read(storage, "a.txt") == b"x" * size  # its own transaction sees the file
    assert documents.objects.get().file.read() == b"x" * size
    assert not Blob.objects.filter(state=Blob.State.PENDING).exists()


@pytest.mark.parametrize("size", SIZES)
def test_a_rollback_leaves_neither_object_nor_bytes(storage: Post3Storage, documents: Any, left: Left, size: int) -> None:
    before = left()
    with pytest.raises(Refused), transaction.atomic():
        documents(title="a").file.save("a.txt", content(size))
        assert left()["objects"] == before["objects"] + 1
        raise Refused
    assert left() == before
    assert not documents.objects.exists() and not storage.exists("a.txt")


@pytest.mark.parametrize("size", SIZES)
def test_a_rolled_back_overwrite_keeps_the_old_file_and_its_description(
    storage: Post3Storage, documents: Any, left: Left, size: int, tmp_path: Path
) -> None:
    storage.allow_overwrite = True
    storage.save("a.txt", content(5, b"old"))
    before = left()
    with pytest.raises(Refused), transaction.atomic():
        storage.save("a.txt", content(size, b"new"))
        raise Refused
    assert left() == before
    assert read(storage, "a.txt") == b"old" * 5
    if before["descriptions"]:
        (description,) = [path for path in tmp_path.rglob("*.json") if path.name != "bucket.json"]
        assert json.loads(description.read_bytes())["etag"] == md5(b"old" * 5, usedforsecurity=False).hexdigest()


def test_a_rolled_back_deletion_keeps_the_file_and_its_description(storage: Post3Storage, documents: Any, left: Left) -> None:
    storage.save("a.txt", content(10))
    before = left()
    with pytest.raises(Refused), transaction.atomic():
        storage.delete("a.txt")
        assert not storage.exists("a.txt")
        raise Refused
    assert left() == before and read(storage, "a.txt") == b"x" * 10


def test_a_committed_overwrite_leaves_one_description_and_a_deletion_none(
    storage: Post3Storage, documents: Any, left: Left
) -> None:
    storage.allow_overwrite = True
    described = int(isinstance(storages["STANDARD"], Describing))
    for size in (10, 20, 0):
        with transaction.atomic():
            storage.save("a.txt", content(size))
        assert (left()["objects"], left()["descriptions"]) == (1, described)
    with transaction.atomic():
        storage.delete("a.txt")
    with override_settings(POST3_GARBAGE_GRACE_SECONDS=0):
        garbage.collect_garbage()
    assert left() == {"objects": 0, "blobs": 0, "blocks": 0, "files": 0, "descriptions": 0}


def test_a_rollback_to_a_savepoint_removes_files_stored_since(storage: Post3Storage, documents: Any, left: Left) -> None:
    with transaction.atomic():
        storage.save("kept", content(10))
        kept = left()
        with pytest.raises(Refused), transaction.atomic():
            storage.save("gone", content(10))
            with transaction.atomic():
                storage.save("gone too", content(3 << 20))
            raise Refused
        assert left() == kept
        storage.save("later", content(10))
    assert storage.listdir("") == ([], ["kept", "later"])


def test_a_rollback_removes_the_bucket_and_its_owner(storage: Post3Storage, left: Left, tmp_path: Path) -> None:
    fresh = Post3Storage(bucket="fresh", create_bucket=True, owner="somebody")
    with pytest.raises(Refused), transaction.atomic():
        fresh.save("a", content(10))
        raise Refused
    assert not Bucket.objects.exists() and not list(tmp_path.rglob("*.json")) and not any(left().values())
    # The ID may now belong to another user, whose name the next description must contain.
    owner = get_user_model().objects.create_user("another")
    assert user_name(owner.pk) == "another"
    fresh.save("a", content(10))
    assert Bucket.objects.get().owner.get_username() == "somebody" and read(fresh, "a") == b"x" * 10


def test_set_rollback_removes_everything(storage: Post3Storage, documents: Any, left: Left) -> None:
    before = left()
    with transaction.atomic():
        storage.save("a", content(3 << 20))
        transaction.set_rollback(True)
    assert left() == before


def test_a_failed_commit_leaves_nothing(postgresql: Any, storage: Post3Storage, documents: Any, left: Left) -> None:
    """PostgreSQL checks foreign keys at commit. Bytes that were already written must then be removed, too."""
    before = left()
    with pytest.raises(IntegrityError), transaction.atomic():
        storage.save("a", content(3 << 20))
        with connection.cursor() as cursor:
            cursor.execute("UPDATE post3_bucket SET owner_id = -1 WHERE name = 'media'")
    assert left() == before


def test_a_failed_callback_after_the_commit_removes_no_bytes(storage: Post3Storage, documents: Any) -> None:
    def fail() -> None:
        raise Refused

    with pytest.raises(Refused), transaction.atomic():
        transaction.on_commit(fail)
        storage.save("a", content(10))
    assert read(storage, "a") == b"x" * 10
    with pytest.raises(Refused), transaction.atomic():  # a later rollback on the same connection must not affect it
        raise Refused
    assert read(storage, "a") == b"x" * 10


def test_a_refused_save_leaves_the_transaction_usable(storage: Post3Storage, documents: Any, left: Left) -> None:
    class Broken(ContentFile):
        def read(self, size: int = -1) -> bytes:
            if size and self.tell() > 2 << 20:
                raise OSError("the disk of the upload is gone")
            return super().read(size)

    before = left()
    with transaction.atomic():
        documents.objects.create(title="a", file="")
        with pytest.raises(OSError, match="gone"):
            storage.save("a", Broken(b"x" * (4 << 20)))
        documents.objects.create(title="b", file="")
    assert left() == before and documents.objects.count() == 2


def test_a_name_taken_meanwhile_is_replaced_by_another(storage: Post3Storage, documents: Any) -> None:
    """Both writers find the name free (`_save` does not check), and both files are kept.

    They run in parallel on PostgreSQL and one after the other on SQLite.
    """
    names: list[str] = []
    if connection.vendor == "postgresql":
        stored = threading.Event()

        def other() -> None:
            with transaction.atomic():
                names.append(Post3Storage._save(storage, "a.txt", content(10, b"1")))
                stored.set()
                threading.Event().wait(0.3)  # the other transaction waits for this one's commit
            connections.close_all()

        thread = threading.Thread(target=other)
        thread.start()
        stored.wait(20)
        with transaction.atomic():
            names.append(storage._save("a.txt", content(10, b"2")))
        thread.join()
    else:
        names = [storage._save("a.txt", content(10, fill)) for fill in (b"1", b"2")]
    assert len(set(names)) == 2 and names[0] == "a.txt"
    assert [read(storage, name) for name in names] == [b"1" * 10, b"2" * 10]


def test_s3_requests_are_not_part_of_atomic_requests(catalogue: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    assert BaseHandler().make_view_atomic(dispatch) is dispatch


def test_a_file_of_the_storage_is_copied_in_the_transaction_that_created_it(storage: Post3Storage, documents: Any) -> None:
    with transaction.atomic():
        storage.save("a", content(3 << 20))
        with storage.open("a") as file:
            storage.save("b", file)
    assert read(storage, "b") == b"x" * (3 << 20)
