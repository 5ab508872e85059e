"""A blob's stored size may differ from the size of its object or part: the storage is asked by the stored one."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from post3.maintenance.checking import Check
from post3.maintenance.garbage import collect_garbage
from post3.maintenance.scrubbing import LEASE, Scrubber
from post3.models import Blob, Object, ObjectPart, WorkerState
from post3.services import objects
from post3.storage.base import KIB, BlobRef
from post3.storage.capabilities import CatalogueResident
from post3.storage.handler import storages
from post3.values import ByteRange

from ..stores import ALWAYS, BLOCKS, Store, files_in, store_on

#: Bytes that a storage adds to each blob, in these tests.
EXTRA = 16
#: The statement that finds an object also selects its bytes from blocks if these are at most `inline_size`: those of
#: SMALL, but not those of EDGE, although the object itself is smaller than that.
SMALL, EDGE, LARGE = 1000, 256 * KIB - 1, 600_000


@pytest.fixture(params=["files", "blocks"])
def store(request: pytest.FixtureRequest, catalogue: Any, tmp_path: Path) -> Iterator[Store]:
    standard = files_in(tmp_path) if request.param == "files" else BLOCKS
    with store_on(tmp_path, STANDARD=standard, GLACIER_IR=files_in(tmp_path / "cold")) as store:
        yield store


@pytest.fixture
def asked(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the sizes of the references that the storage of STANDARD is asked by to read, measure and delete."""
    storage: Any = storages["STANDARD"]
    sizes: list[int] = []

    def recorded(name: str) -> None:
        real = getattr(storage, name)

        def run(refs: BlobRef | list[BlobRef], *arguments: Any) -> Any:
            sizes.extend(ref.size for ref in (refs if isinstance(refs, list) else [refs]))
            return real(refs, *arguments)

        monkeypatch.setattr(storage, name, run)

    for name in ("open", "measure", "delete", "delete_small"):
        recorded(name)
    return sizes


def put(store: Store, key: str, size: int) -> bytes:
    """Store an object whose blob has EXTRA bytes more than the object."""
    data = store.put(key, size + EXTRA)
    Object.objects.filter(key=key).update(size=size)
    return data[:size]


def read(store: Store, key: str, byte_range: ByteRange | None = None) -> bytes:
    body = objects.open_object(store.grant, key, ALWAYS, byte_range).body
    return body if isinstance(body, bytes) else b"".join(body)


def put_parts(store: Store, key: str, size: int) -> bytes:
    """Store an object of two parts whose blobs have EXTRA bytes more than the parts."""
    upload, datas = store.begin(key), (b"1" * (size + EXTRA), b"2" * (size + EXTRA))
    store.complete(upload, *(store.part(upload, number, data) for number, data in enumerate(datas, 1)))
    for number in (1, 2):
        ObjectPart.objects.filter(part_number=number).update(size=size, offset=(number - 1) * size)
    Object.objects.filter(key=key).update(size=2 * size)
    return b"".join(data[:size] for data in datas)


@pytest.mark.parametrize("size", [SMALL, EDGE, LARGE])
def test_an_object_is_read_by_its_stored_size(store: Store, asked: list[int], size: int) -> None:
    data = put(store, "k", size)
    assert read(store, "k") == data
    assert read(store, "k", ByteRange(3, 9, "")) == data[3:10]
    store.copy("k", "cold", "GLACIER_IR")
    assert read(store, "cold") == data
    along = isinstance(storages["STANDARD"], CatalogueResident) and size == SMALL
    assert asked == ([] if along else [size + EXTRA] * 3)


@pytest.mark.parametrize("size", [SMALL, LARGE])
def test_parts_are_read_by_their_stored_size(store: Store, asked: list[int], size: int) -> None:
    data = put_parts(store, "k", size)
    assert read(store, "k") == data
    assert read(store, "k", ByteRange(size - 2, size + 1, "")) == b"1122"
    assert asked == [size + EXTRA] * 4


def test_maintenance_asks_by_the_stored_size(store: Store, asked: list[int]) -> None:
    put(store, "k", SMALL)
    list(Check(verify=True, min_age=0).run())
    assert set(asked) == {SMALL + EXTRA}
    asked.clear()
    WorkerState.objects.create(name="scrub")
    WorkerState.objects.update(updated_at=datetime.now(UTC) - timedelta(seconds=LEASE + 1))
    assert Scrubber().scrub() == SMALL + EXTRA
    store.delete("k")
    collect_garbage()
    assert not Blob.objects.exists()
    assert asked and set(asked) == {SMALL + EXTRA}
