"""A storage with both capabilities: blocks in the database, and descriptions beside them."""

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import override_settings

from post3.access.callers import project_caller
from post3.checks import check_storages
from post3.descriptions.described import read_bucket
from post3.models import Blob, Block, Object
from post3.services import buckets
from post3.storage import BlobMissing, CatalogueResident, Describing, Storage, StoredName
from post3.storage.database import DatabaseStorage
from post3.storage.handler import storages

from ..stores import Store
from . import test_database
from .capability_suites import DescribingSuite, ResidentSuite


class DescribedBlocks(DatabaseStorage, Describing):
    """Descriptions in memory."""

    def __init__(self, storage_class: str, **options: Any) -> None:
        super().__init__(storage_class, **options)
        self.objects: dict[str, bytes] = {}
        self.buckets: dict[str, bytes] = {}

    def new_sidecar(self, hint: str) -> str:
        return uuid.uuid4().hex

    def write_sidecar(self, name: str, document: bytes) -> None:
        self.objects[name] = document

    def read_sidecar(self, name: str) -> bytes:
        return _found(self.objects, name)

    def delete_sidecar(self, name: str, durable: bool = True) -> None:
        self.objects.pop(name, None)

    def write_bucket_sidecar(self, bucket: str, document: bytes) -> None:
        self.buckets[bucket] = document

    def read_bucket_sidecar(self, bucket: str) -> bytes:
        return _found(self.buckets, bucket)

    def delete_bucket_sidecar(self, bucket: str) -> None:
        self.buckets.pop(bucket, None)

    def described_buckets(self) -> Iterator[str]:
        yield from list(self.buckets)

    def walk(self) -> Iterator[StoredName]:
        yield from super().walk()
        for name, document in self.objects.items():
            yield StoredName(0, name, len(document), 0.0, is_description=True)


def _found(documents: dict[str, bytes], name: str) -> bytes:
    try:
        return documents[name]
    except KeyError:
        raise BlobMissing(f"{name} is missing") from None


class TestDescribedBlocks(DescribingSuite, ResidentSuite):
    block = test_database.TestDatabaseStorage.block

    @pytest.fixture
    def storage(self) -> Iterator[DescribedBlocks]:
        yield DescribedBlocks("STANDARD", block_size=self.block)

    def leftovers(self, storage: Any) -> list[Any]:
        return [*Block.objects.values_list("blob_id", "index"), *storage.objects]

    damage = test_database.TestDatabaseStorage.damage


def test_objects_in_a_storage_with_both_capabilities(catalogue: Any, tmp_path: Path) -> None:
    backend = {"BACKEND": f"{__name__}.DescribedBlocks"}
    with override_settings(POST3_STORAGES={"STANDARD": backend}):
        storage: Any = storages["STANDARD"]
        owner = get_user_model().objects.create_user("owner")
        buckets.create_bucket("bucket", project_caller(owner.pk), None)
        assert read_bucket(storage.read_bucket_sidecar("bucket")).name == "bucket"
        store = Store(owner.pk, tmp_path)
        for size in (0, 1000, 3_000_000):
            data = store.put(f"{size}", size)
            assert store.read(f"{size}") == data
        assert set(storage.objects) == set(Object.objects.values_list("sidecar", flat=True))
        assert len(storage.objects) == 3 and set(Blob.objects.values_list("name", flat=True)) == {""}
        for size in (0, 1000, 3_000_000):
            store.delete(f"{size}")
        assert storage.objects == {}


@pytest.mark.parametrize(
    ("capability", "method"),
    [
        (Describing, "read_sidecar"),
        (Describing, "described_buckets"),
        (CatalogueResident, "inline_insert"),
        (CatalogueResident, "inline_select"),
    ],
)
def test_check_of_a_storage_with_a_part_of_a_capability(
    capability: type[Storage], method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = DescribedBlocks if capability is Describing else DatabaseStorage
    monkeypatch.delattr(own, method)
    with override_settings(POST3_STORAGES={"STANDARD": {"BACKEND": f"{__name__}.DescribedBlocks"}}):
        (error,) = check_storages()
    assert (error.id, error.msg) == ("post3.E022", f"The BACKEND of POST3_STORAGES['STANDARD'] does not implement {method}.")


@pytest.mark.parametrize("options", [{"row_size": -1}, {"row_size": 1 << 20}, {"block_size": 0}])
def test_check_of_options_out_of_range(options: dict[str, int]) -> None:
    backend = {"BACKEND": "post3.storage.database.DatabaseStorage", "OPTIONS": options}
    with override_settings(POST3_STORAGES={"STANDARD": backend}):
        (error,) = check_storages()
    assert error.id == "post3.E023" and next(iter(options)) in error.msg
