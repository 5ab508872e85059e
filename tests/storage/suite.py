"""Tests that every storage must pass. Test classes derive from `StorageSuite`, or one in `capability_suites.py`."""

import dataclasses
import io
import os
import random
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone

from post3.models import Blob
from post3.storage import BlobMissing, BlobRef, CatalogueResident, Describing, Storage, StorageError

#: Keys that are difficult as file names.
ODD_KEYS = [
    ".",
    "..",
    "../../etc/passwd",
    "a/../b",
    "/absolute",
    "//",
    "a/",
    "%2F",
    "a%2F..%2Fb",
    "a\\b",
    "a b+c",
    "new\nline",
    "nul\x00",
    "~",
    ".tmp",
    "name.json",
    "ü" * 512,
    "𝄞" * 256,
    "x" * 1024,
    "/".join(["d"] * 512),
]


class ShortStream(io.BytesIO):
    """A stream that returns fewer bytes than requested, as sockets do."""

    def read(self, size: int | None = -1, /) -> bytes:
        return super().read(min(size or 0, random.Random(self.tell()).randint(1, 10_000)))


class BrokenStream(io.BytesIO):
    """A stream whose sender disconnects after its bytes."""

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if not data:
            raise ConnectionResetError("the client went away")
        return data


def in_threads(count: int, task: Callable[[int], Any]) -> list[Any]:
    """Run `task(0)` … in parallel, each on its own thread and database connection. Return or raise what they do."""
    results: list[Any] = [None] * count
    errors: list[BaseException] = []
    start = threading.Barrier(count)

    def run(number: int) -> None:
        try:
            start.wait(10)
            results[number] = task(number)
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if errors:
        raise errors[0]
    return results


@pytest.mark.usefixtures("catalogue")
class StorageSuite:
    """The tests themselves."""

    #: The size at which this storage starts a new block or piece.
    block: int
    #: Whether it says how many bytes are left of a damaged blob, and whether it moves such bytes out of their place.
    measures_parts, quarantines = True, False

    @pytest.fixture
    def storage(self) -> Iterator[Storage]:
        raise NotImplementedError

    def leftovers(self, storage: Storage) -> list[Any]:
        """Return everything that the storage contains: rows or files."""
        raise NotImplementedError

    def damage(self, storage: Storage, ref: BlobRef) -> None:
        """Remove the last bytes behind the storage's back."""
        raise NotImplementedError

    def new_ref(self, storage: Storage, key: str = "key") -> BlobRef:
        name = storage.new_name(f"bucket/{key}")
        block_size = storage.block_size if isinstance(storage, CatalogueResident) else 0
        blob = Blob._base_manager.create(
            storage_class=storage.storage_class,
            name=name,
            size=0,
            block_size=block_size,
            state=Blob.State.PENDING,
            created_at=timezone.now(),
        )
        return BlobRef(id=blob.pk, name=name, size=0, block_size=block_size)

    def saved(self, storage: Storage, data: bytes, key: str = "key") -> BlobRef:
        ref = self.new_ref(storage, key)
        assert storage.save(ref, io.BytesIO(data)) == len(data)
        return dataclasses.replace(ref, size=len(data))

    def contents(self, storage: Storage, ref: BlobRef) -> bytes:
        return b"".join(storage.open(ref, 0, ref.size))

    @pytest.mark.parametrize(("blocks", "more"), [(0, 0), (0, 1), (1, -1), (1, 0), (1, 1), (3, 0), (5, 17)])
    def test_save_and_open_any_size(self, storage: Storage, blocks: int, more: int) -> None:
        data = random.Random(1).randbytes(blocks * self.block + more)
        ref = self.saved(storage, data)
        pieces = list(storage.open(ref, 0, ref.size))
        assert b"".join(pieces) == data
        assert all(0 < len(piece) <= 1 << 20 for piece in pieces)

    def test_open_any_range(self, storage: Storage) -> None:
        data = random.Random(2).randbytes(3 * self.block + 100)
        ref = self.saved(storage, data)
        edges = sorted(
            {0, 1, self.block - 1, self.block, self.block + 1, 2 * self.block, 3 * self.block, len(data) - 1, len(data)}
        )
        for start in edges:
            for end in edges:
                if start <= end:
                    assert b"".join(storage.open(ref, start, end - start)) == data[start:end], (start, end)

    def test_save_from_a_stream_of_short_reads(self, storage: Storage) -> None:
        data = random.Random(3).randbytes(2 * self.block + 5)
        ref = self.new_ref(storage)
        assert storage.save(ref, ShortStream(data)) == len(data)
        assert self.contents(storage, dataclasses.replace(ref, size=len(data))) == data

    @pytest.mark.parametrize("blocks", [0, 0.5, 2, 2.5])
    def test_save_from_a_broken_stream_leaves_nothing(self, storage: Storage, blocks: float) -> None:
        ref = self.new_ref(storage)
        with pytest.raises(ConnectionResetError):
            storage.save(ref, BrokenStream(os.urandom(int(blocks * self.block))))
        assert self.leftovers(storage) == []

    def test_open_by_different_threads(self, storage: Storage) -> None:
        data = random.Random(4).randbytes(5 * self.block)
        ref = self.saved(storage, data)
        pieces = storage.open(ref, 0, ref.size)
        taken = [next(pieces)]
        while piece := in_threads(1, lambda number: next(pieces, b""))[0]:
            taken.append(piece)
        assert b"".join(taken) == data

    def test_open_and_close_early(self, storage: Storage) -> None:
        ref = self.saved(storage, os.urandom(3 * self.block))
        pieces = storage.open(ref, 0, ref.size)
        next(pieces)
        pieces.close()
        pieces.close()
        assert list(pieces) == []

    def test_open_a_missing_blob(self, storage: Storage) -> None:
        ref = dataclasses.replace(self.new_ref(storage), size=10)
        with pytest.raises(BlobMissing):
            storage.open(ref, 0, 10).ensure_readable()
        with pytest.raises(BlobMissing):
            next(storage.open(ref, 0, 10))

    def test_open_a_truncated_blob(self, storage: Storage) -> None:
        ref = self.saved(storage, os.urandom(self.block // 2))
        self.damage(storage, ref)
        with pytest.raises(BlobMissing):
            storage.open(ref, 0, ref.size).ensure_readable()
        with pytest.raises(BlobMissing):
            next(storage.open(ref, 0, ref.size))

    def test_copy(self, storage: Storage) -> None:
        for blocks, more in [(0, 0), (0, 1), (1, 0), (3, 7)]:
            data = os.urandom(blocks * self.block + more)
            source, target = self.saved(storage, data), self.new_ref(storage)
            assert storage.copy(source, target) == len(data)
            target = dataclasses.replace(target, size=len(data))
            storage.delete(source)
            assert self.contents(storage, target) == data

    def test_copy_of_a_damaged_blob_leaves_nothing(self, storage: Storage) -> None:
        source = self.saved(storage, os.urandom(3 * self.block))
        self.damage(storage, source)
        before = self.leftovers(storage)
        with pytest.raises(BlobMissing):
            storage.copy(source, self.new_ref(storage))
        assert self.leftovers(storage) == before

    def test_delete(self, storage: Storage) -> None:
        ref, other = self.saved(storage, os.urandom(3 * self.block)), self.saved(storage, b"other")
        storage.delete(ref)
        storage.delete(ref)
        with pytest.raises(BlobMissing):
            storage.open(ref, 0, ref.size).ensure_readable()
        assert self.contents(storage, other) == b"other"
        storage.delete(other)
        storage.delete(self.new_ref(storage))
        assert self.leftovers(storage) == []

    def test_concurrent_saves(self, storage: Storage) -> None:
        datas = [random.Random(number).randbytes(2 * self.block + number) for number in range(8)]
        refs = [self.new_ref(storage, "the same key") for _ in datas]
        in_threads(len(datas), lambda number: storage.save(refs[number], ShortStream(datas[number])))
        for ref, data in zip(refs, datas, strict=True):
            assert self.contents(storage, dataclasses.replace(ref, size=len(data))) == data

    @pytest.mark.parametrize("key", ODD_KEYS)
    def test_any_key(self, storage: Storage, key: str) -> None:
        ref = self.saved(storage, key.encode(), key)
        assert self.contents(storage, ref) == key.encode()

    def test_keys_that_are_folders_of_each_other(self, storage: Storage) -> None:
        keys = ["a", "a/b", "a/b/c", "a/"]
        refs = [self.saved(storage, key.encode(), key) for key in keys]
        assert [self.contents(storage, ref) for ref in refs] == [key.encode() for key in keys]

    def test_delete_several(self, storage: Storage) -> None:
        refs = [self.saved(storage, b"x" * (number + 1)) for number in range(3)]
        assert storage.delete_small([*refs[:2], self.new_ref(storage)])[:2] == refs[:2]
        assert storage.measure(refs) == [None, None, 3]

    def test_has_place_after_a_save(self, storage: Storage) -> None:
        self.saved(storage, b"x")
        assert storage.has_place("bucket/other") and storage.has_place("bucket")

    def test_check(self, storage: Storage) -> None:
        storage.check()
        assert self.leftovers(storage) == []

    def test_names_of_one_key_differ(self, storage: Storage) -> None:
        names = {storage.new_name("bucket/key") for _ in range(100)}
        assert len(names) == 100 or (names == {""} and storage.pending_row_first)

    def test_errors_are_storage_errors(self) -> None:
        assert issubclass(BlobMissing, StorageError)

    def test_measure(self, storage: Storage) -> None:
        refs = [self.saved(storage, b"x" * size) for size in (1, self.block, 2 * self.block + 3)]
        assert storage.measure(refs) == [ref.size for ref in refs]
        self.damage(storage, refs[1])
        storage.delete(refs[2])
        sizes = storage.measure([*refs, self.new_ref(storage)])
        assert sizes == [1, sizes[1], None, None]
        assert sizes[1] == (self.block - 1 if self.measures_parts else None)
        assert storage.measure([]) == []

    def test_walk_finds_everything_stored(self, storage: Storage) -> None:
        assert list(storage.walk()) == []
        refs = [self.saved(storage, b"x" * (number + 1), key) for number, key in enumerate(ODD_KEYS)]
        storage.delete(self.saved(storage, b"gone"))
        described = []
        if isinstance(storage, Describing):
            described = [refs[0].name]
            storage.write_sidecar(refs[0].name, b"{}")
            assert storage.read_sidecar(refs[0].name) == b"{}"
        found = list(storage.walk())
        sizes = {(held.name or held.id): held.size for held in found if not held.is_description}
        assert sizes == {(ref.name or ref.id): ref.size for ref in refs}
        assert not any(held.is_foreign for held in found)
        assert [held.name for held in found if held.is_description] == described

    def test_quarantine(self, storage: Storage) -> None:
        ref, other = self.saved(storage, b"damaged"), self.saved(storage, b"whole")
        storage.quarantine(ref)
        storage.quarantine(ref)
        assert storage.measure([ref, other]) == ([None, 5] if self.quarantines else [7, 5])
        assert len(self.leftovers(storage)) == 2, "nothing is deleted"
        assert {held.name or held.id for held in storage.walk()} == {
            ref.name or ref.id for ref in (ref, other)[self.quarantines :]
        }
