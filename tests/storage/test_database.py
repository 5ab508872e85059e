"""Bytes in the database."""

import dataclasses
import io
import os
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError, connection, transaction

from post3.db import sql
from post3.models import Blob, Block
from post3.storage import BlobRef, Storage, StorageError
from post3.storage.database import blocks as database
from post3.storage.database.blocks import DELETE_BATCH, DatabaseStorage

from .capability_suites import ResidentSuite
from .suite import BrokenStream


class TestDatabaseStorage(ResidentSuite):
    block = 64 << 10

    @pytest.fixture
    def storage(self) -> Iterator[Storage]:
        yield DatabaseStorage("STANDARD", block_size=self.block)

    def leftovers(self, storage: Storage) -> list[Any]:
        return list(Block.objects.values_list("blob_id", "index"))

    def damage(self, storage: Storage, ref: BlobRef) -> None:
        last = Block.objects.filter(blob_id=ref.id).order_by("-index")[0]
        Block.objects.filter(blob_id=ref.id, index=last.index).update(data=bytes(last.data)[:-1])

    def test_all_blocks_except_the_last_are_full(self, storage: Storage) -> None:
        self.saved(storage, b"x" * (2 * self.block + 3))
        blocks = Block.objects.order_by("index")
        assert [(block.index, len(block.data)) for block in blocks] == [(0, self.block), (1, self.block), (2, 3)]

    def test_blob_saved_before_the_block_size_changed(self, storage: Storage) -> None:
        data = os.urandom(2 * self.block + 3)
        ref = self.saved(storage, data)
        changed = DatabaseStorage("STANDARD", block_size=1000)
        assert self.contents(changed, ref) == data
        target = self.new_ref(changed)
        changed.copy(ref, target)
        assert self.contents(changed, dataclasses.replace(target, size=len(data))) == data

    def test_blocks_larger_than_a_piece(self) -> None:
        storage = DatabaseStorage("STANDARD", block_size=3 << 20)
        data = os.urandom((4 << 20) + 5)
        ref = self.saved(storage, data)
        pieces = list(storage.open(ref, 0, ref.size))
        assert b"".join(pieces) == data
        assert max(map(len, pieces)) == 1 << 20

    def test_many_blocks_in_several_batches(self) -> None:
        storage = DatabaseStorage("STANDARD", block_size=10)
        data = os.urandom(10 * 2 * DELETE_BATCH)
        source, target = self.saved(storage, data), self.new_ref(storage)
        storage.copy(source, target)
        storage.delete(source)
        assert self.contents(storage, dataclasses.replace(target, size=len(data))) == data
        storage.delete(target)
        assert self.leftovers(storage) == []

    def test_save_for_a_missing_blob(self, storage: Storage) -> None:
        ref = BlobRef(id=2**40, name="", size=0, block_size=self.block)
        with pytest.raises(StorageError):
            storage.save(ref, io.BytesIO(b"x"))

    def test_save_within_a_transaction(self, storage: Storage) -> None:
        ref = self.new_ref(storage)
        with pytest.raises(ConnectionResetError), transaction.atomic():
            storage.save(ref, BrokenStream(os.urandom(2 * self.block)))
        with transaction.atomic():
            assert storage.save(ref, io.BytesIO(b"data")) == 4
            transaction.set_rollback(True)
        assert self.leftovers(storage) == []

    def test_no_transaction_is_open_while_reading_the_stream(self, storage: Storage) -> None:
        states = []

        class Watching(io.BytesIO):
            def read(self, size: int | None = -1, /) -> bytes:
                if connection.vendor == "postgresql":
                    states.append(connection.connection.info.transaction_status.name)
                else:
                    states.append("INTRANS" if connection.connection.in_transaction else "IDLE")
                return super().read(size)

        storage.save(self.new_ref(storage), Watching(os.urandom(2 * self.block)))
        assert set(states) == {"IDLE"}

    def test_synchronous_commit_is_off_only_for_the_blocks(self, storage: Storage) -> None:
        if connection.vendor != "postgresql":
            pytest.skip("SQLite has no synchronous_commit")
        ask = "SELECT current_setting('synchronous_commit')"
        default = sql.fetch(ask)
        data = os.urandom(self.block)
        self.saved(storage, data)
        assert sql.fetch(ask) == default
        with transaction.atomic():
            self.saved(storage, data)
            assert sql.fetch(ask) == default, "the caller's own commit must wait for the disk"

    def test_open_on_a_lost_connection(self, storage: Storage) -> None:
        if connection.vendor != "postgresql":
            pytest.skip("SQLite's connections cannot be lost")
        data = os.urandom(3 * self.block)
        pieces = storage.open(self.saved(storage, data), 0, len(data))
        pieces.ensure_readable()
        first = next(pieces)
        connection.connection.pgconn.finish()
        assert first + b"".join(pieces) == data

    def test_walk_and_measure_over_several_batches(self, storage: Storage, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(database, "WALK_BATCH", 3)
        refs = [self.saved(storage, b"x" * (blocks * self.block + 1)) for blocks in (0, 5, 2, 0, 1)]
        assert [(held.id, held.size) for held in storage.walk()] == [(ref.id, ref.size) for ref in refs]
        Block.objects.filter(blob_id=refs[1].id, index=3).delete()
        Block.objects.filter(blob_id=refs[2].id, index=0).delete()
        assert storage.measure(refs) == [None if ref in refs[1:3] else ref.size for ref in refs]

    @pytest.mark.parametrize("size", [0, -1, 1 << 40])
    def test_impossible_block_size(self, size: int) -> None:
        with pytest.raises(ImproperlyConfigured):
            DatabaseStorage("STANDARD", block_size=size)


@pytest.mark.usefixtures("catalogue")
class TestSQL:
    def test_bytes_and_numbers_round_trip(self) -> None:
        rows = sql.fetch("SELECT length(%s), length('100%%')", [b"\x00%\xff"])
        assert rows == [(3, 4)]

    def test_execute_counts_rows(self) -> None:
        assert sql.execute("DELETE FROM post3_blob WHERE id = %s", [-1]) == 0

    def test_they_share_the_transaction_of_django(self) -> None:
        insert = "INSERT INTO post3_blob (storage_class, name, size, md5, block_size, state, created_at) "
        with transaction.atomic():
            assert sql.execute(insert + "VALUES ('STANDARD', '', 0, '', 0, 0, '2026-01-01 00:00:00Z')") == 1
            assert Blob._base_manager.count() == 1
            transaction.set_rollback(True)
        assert Blob._base_manager.count() == 0

    def test_errors_are_djangos(self) -> None:
        with pytest.raises(DatabaseError):
            sql.fetch("SELECT nonsense FROM nowhere")
