"""Publishing: what a writer is told that lost a race after its look."""

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import override_settings

from post3.errors import PreconditionFailed, ServiceUnavailable
from post3.models import Blob, Block, Bucket
from post3.services import objects, publishing
from post3.storage.database import DatabaseStorage
from post3.values import Conditions

from .store import PLAIN, Body, Store


@pytest.mark.parametrize("backend", ["filesystem", "database"])
@pytest.mark.parametrize("size", [0, 1000, 2_500_000])
def test_put_if_none_match_that_lost_after_its_look_is_refused_and_leaves_nothing(
    catalogue: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, backend: str, size: int
) -> None:
    options = {"location": str(tmp_path)} if backend == "filesystem" else {}
    path = f"post3.storage.{backend}.{backend.capitalize()}Storage"
    with override_settings(POST3_STORAGES={"STANDARD": {"BACKEND": path, "OPTIONS": options}}):
        owner = get_user_model().objects.create_user("owner")
        Bucket.objects.create(name="bucket", owner=owner, region="us-east-1")
        store = Store(owner.pk, tmp_path)
        first = store.put("k", 10)
        monkeypatch.setattr(publishing, "lock_latest", lambda bucket, key: None)  # as if the look came before the first write
        with pytest.raises(PreconditionFailed):
            objects.put_object("bucket", "k", owner.pk, PLAIN, Body(b"y" * size), Conditions(if_none_match="*"))
        assert store.read("k") == first
        assert (Blob.objects.count(), store.bytes_left()) == (1, len(first))


def test_put_whose_blocks_a_crash_lost_is_refused(catalogue: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with override_settings(POST3_STORAGES={"STANDARD": {"BACKEND": "post3.storage.database.DatabaseStorage"}}):
        owner = get_user_model().objects.create_user("owner")
        Bucket.objects.create(name="bucket", owner=owner, region="us-east-1")
        store = Store(owner.pk, tmp_path)
        first = store.put("k", 2_500_000)
        save = DatabaseStorage.save

        def save_and_lose(storage: DatabaseStorage, ref: Any, stream: Any) -> int:
            size = save(storage, ref, stream)
            Block.objects.filter(blob_id=ref.id, index=1).delete()
            return size

        monkeypatch.setattr(DatabaseStorage, "save", save_and_lose)
        with pytest.raises(ServiceUnavailable):
            store.put("k", 2_500_000, b"y")
        assert store.read("k") == first
