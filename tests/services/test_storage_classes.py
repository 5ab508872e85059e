"""Objects of several storage classes: each is read from its own storage; copying to another class copies the bytes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import override_settings

from post3.errors import InvalidStorageClass, S3NotImplemented
from post3.maintenance.garbage import collect_garbage
from post3.models import Block, Bucket, Object

from ..stores import BLOCKS, Store

SMALL, LARGE = 1000, 2_500_000


@pytest.fixture
def store(catalogue: Any, tmp_path: Path) -> Iterator[Store]:
    """Yield a bucket with STANDARD objects in files and GLACIER_IR objects in blocks."""
    storages = {
        "STANDARD": {"BACKEND": "post3.storage.filesystem.FilesystemStorage", "OPTIONS": {"location": str(tmp_path)}},
        "GLACIER_IR": BLOCKS,
    }
    with override_settings(POST3_STORAGES=storages, POST3_GARBAGE_GRACE_SECONDS=0, POST3_MIN_PART_SIZE=1):
        owner = get_user_model().objects.create_user("owner")
        Bucket.objects.create(name="bucket", owner=owner, region="us-east-1")
        yield Store(owner.pk, tmp_path)


@pytest.mark.parametrize("size", [0, SMALL, LARGE])
def test_copy_to_another_storage_class_copies_the_bytes(store: Store, size: int) -> None:
    data = store.put("source", size)
    store.copy("source", "cold", "GLACIER_IR")
    assert Object.objects.get(key="cold").storage_class == "GLACIER_IR"
    assert Block.objects.exists() == (size > 0)
    store.delete("source")
    collect_garbage()
    assert store.read("cold") == data
    store.copy("cold", "warm")
    store.delete("cold")
    collect_garbage()
    assert store.read("warm") == data
    assert not Block.objects.exists()


def test_copy_of_several_parts_to_another_storage_class_has_one(store: Store) -> None:
    upload = store.begin("source")
    store.complete(upload, *(store.part(upload, number, bytes([number]) * SMALL) for number in (1, 2)))
    store.copy("source", "cold", "GLACIER_IR")
    copied = Object.objects.get(key="cold")
    assert (copied.parts_count, len(copied.etag)) == (0, 32)
    assert store.read("cold") == b"\x01" * SMALL + b"\x02" * SMALL


def test_copy_to_itself_in_another_storage_class_moves_the_bytes(store: Store) -> None:
    data = store.put("k", LARGE)
    store.copy("k", "k", "GLACIER_IR")
    collect_garbage()
    assert store.read("k") == data
    assert not [path for path in store.directory.rglob("*") if path.is_file()]


def test_copy_to_a_storage_class_that_is_not_configured_is_refused(store: Store) -> None:
    store.put("k", SMALL)
    with pytest.raises(S3NotImplemented, match="STANDARD_IA"):
        store.copy("k", "other", "STANDARD_IA")
    with pytest.raises(InvalidStorageClass):
        store.copy("k", "other", "standard_ia")
