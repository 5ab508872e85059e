"""What a storage with a capability must do, besides what every storage must."""

import dataclasses
import os
from collections.abc import Iterator

import pytest
from django.db import connection, transaction

from post3.storage import BlobMissing, CatalogueResident, Describing

from .suite import StorageSuite, in_threads


class DescribingSuite(StorageSuite):
    """Further tests of a storage that is `Describing`."""

    @pytest.fixture
    def storage(self) -> Iterator[Describing]:
        raise NotImplementedError

    def test_sidecar(self, storage: Describing) -> None:
        name = storage.new_sidecar(f"bucket/{'𝄞' * 256}")
        storage.write_sidecar(name, b'{"a": 1}')
        storage.write_sidecar(name, b'{"a": 2}')
        assert len(self.leftovers(storage)) == 1
        assert storage.read_sidecar(name) == b'{"a": 2}'
        storage.delete_sidecar(name)
        with pytest.raises(BlobMissing):
            storage.read_sidecar(name)
        storage.delete_sidecar(name)
        assert self.leftovers(storage) == []

    def test_sidecar_of_the_name_of_a_blob(self, storage: Describing) -> None:
        ref = self.new_ref(storage)
        storage.save_before_sidecar(ref, b"bytes")
        storage.write_sidecar(ref.name, b"{}")
        assert self.contents(storage, dataclasses.replace(ref, size=5)) == b"bytes"
        storage.delete(ref)
        assert storage.read_sidecar(ref.name) == b"{}"

    def test_sidecars_of_buckets(self, storage: Describing) -> None:
        ref = self.saved(storage, b"x", "bucket.json")
        assert list(storage.described_buckets()) == []
        in_threads(8, lambda number: storage.write_bucket_sidecar(("bucket", "other")[number % 2], b"%d" % number))
        assert sorted(storage.described_buckets()) == ["bucket", "other"]
        assert storage.read_bucket_sidecar("bucket") in (b"0", b"2", b"4", b"6")
        assert [held.name for held in storage.walk()] == [ref.name]
        for bucket in ("bucket", "other"):
            storage.delete_bucket_sidecar(bucket)
            storage.delete_bucket_sidecar(bucket)
            with pytest.raises(BlobMissing):
                storage.read_bucket_sidecar(bucket)
        assert list(storage.described_buckets()) == [] and self.contents(storage, ref) == b"x"


class ResidentSuite(StorageSuite):
    """Further tests of a storage that is `CatalogueResident`."""

    @pytest.fixture
    def storage(self) -> Iterator[CatalogueResident]:
        raise NotImplementedError

    def test_inline(self, storage: CatalogueResident) -> None:
        for size in (1, storage.inline_size):
            data, ref = os.urandom(size), self.new_ref(storage)
            insert, params = storage.inline_insert(data)
            with connection.cursor() as cursor:
                cursor.execute(f"WITH blob AS (SELECT id FROM post3_blob WHERE id = %s) {insert}", [ref.id, *params])
                cursor.execute(f"SELECT {storage.inline_select('b.id')} FROM post3_blob b WHERE b.id = %s", [ref.id])
                assert bytes(cursor.fetchone()[0]) == data
            assert self.contents(storage, dataclasses.replace(ref, size=size)) == data

    def test_bytes_roll_back_with_the_catalogue(self, storage: CatalogueResident) -> None:
        assert storage.pending_row_first
        with transaction.atomic():
            ref = self.saved(storage, b"x" * (self.block + 1))
            assert storage.open(ref, 0, ref.size).uses_connection
            transaction.set_rollback(True)
        assert self.leftovers(storage) == []

    def test_delete_in_steps(self, storage: CatalogueResident) -> None:
        for _ in storage.delete_in_steps(self.saved(storage, os.urandom(20 * self.block))):
            pass
        storage.reclaim(20 * self.block)
        assert self.leftovers(storage) == []
