"""Publishing: the errors of a writer that loses a race after its check."""

from datetime import UTC, datetime
from hashlib import md5
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import override_settings

from post3.errors import PreconditionFailed, ServiceUnavailable
from post3.models import Blob, Block, Bucket, Object, UploadPart
from post3.services import multipart, objects, publishing
from post3.storage import BlobRef, Stream, storages
from post3.values import CompletedPart, Conditions

from ..stores import ALWAYS, BLOCKS, PLAIN, Body, Store, granted


@pytest.mark.parametrize("backend", ["filesystem", "database"])
@pytest.mark.parametrize("size", [0, 1000, 2_500_000])
def test_put_if_none_match_that_loses_after_its_check_is_refused_and_leaves_nothing(
    catalogue: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, backend: str, size: int
) -> None:
    options = {"location": str(tmp_path)} if backend == "filesystem" else {"row_size": 0}
    path = f"post3.storage.{backend}.{backend.capitalize()}Storage"
    with override_settings(POST3_STORAGES={"STANDARD": {"BACKEND": path, "OPTIONS": options}}):
        owner = get_user_model().objects.create_user("owner")
        Bucket.objects.create(name="bucket", owner=owner, region="us-east-1")
        store = Store(owner.pk, tmp_path)
        first = store.put("k", 10)
        monkeypatch.setattr(publishing, "lock_latest", lambda bucket, key: None)  # as if it ran before the first write
        with pytest.raises(PreconditionFailed):
            objects.put_object(granted("bucket", owner.pk), "k", PLAIN, Body(b"y" * size), Conditions(if_none_match="*"))
        assert store.read("k") == first
        assert (Blob.objects.count(), store.bytes_left()) == (1, len(first))


def test_bytes_with_a_lost_block_are_not_published(catalogue: Any, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """This happens if PostgreSQL crashes during an upload and loses writes that were not yet synced."""
    with override_settings(POST3_STORAGES={"STANDARD": BLOCKS}):
        owner = get_user_model().objects.create_user("owner")
        Bucket.objects.create(name="bucket", owner=owner, region="us-east-1")
        store, storage = Store(owner.pk, tmp_path), storages["STANDARD"]
        save = storage.save

        def lose(ref: BlobRef, stream: Stream) -> int:
            size = save(ref, stream)
            Block.objects.filter(blob_id=ref.id, index=1).delete()
            return size

        with monkeypatch.context() as patch:
            patch.setattr(storage, "save", lose)
            with pytest.raises(ServiceUnavailable):
                objects.put_object(granted("bucket", owner.pk), "k", PLAIN, Body(b"y" * 3_000_000), ALWAYS)
            with pytest.raises(ServiceUnavailable):
                multipart.upload_part(store.grant, store.begin("k"), 1, Body(b"y" * 3_000_000))
        assert (Object.objects.count(), UploadPart.objects.count(), Blob.objects.count(), store.bytes_left()) == (0, 0, 0, 0)
        assert store.put("k", 3_000_000) == store.read("k")


def test_upload_of_10000_parts_is_completed(catalogue: Any, tmp_path: Any) -> None:
    options = {"POST3_STORAGES": {"STANDARD": BLOCKS}, "POST3_MIN_PART_SIZE": 1}
    with override_settings(**options):
        owner = get_user_model().objects.create_user("owner")
        Bucket.objects.create(name="bucket", owner=owner, region="us-east-1")
        store = Store(owner.pk, tmp_path)
        upload, now = store.begin("k"), datetime.now(UTC)
        fields = {"storage_class": "STANDARD", "size": 1, "block_size": 1, "state": Blob.State.STORED, "created_at": now}
        made = Blob.objects.bulk_create((Blob(**fields) for _ in range(10_000)), batch_size=2000)
        fields = {"upload": upload, "etag": md5(b"x").hexdigest(), "size": 1, "last_modified": now}
        numbered = enumerate(made, 1)
        UploadPart.objects.bulk_create((UploadPart(part_number=n, blob=blob, **fields) for n, blob in numbered), batch_size=2000)
        store.complete(upload, *(CompletedPart(number, fields["etag"], {}) for number in range(1, 10_001)))
        row = objects.head_object(granted("bucket", owner.pk), "k", ALWAYS)
        assert (row.size, row.parts_count, UploadPart.objects.count()) == (10_000, 10_000, 0)
