"""Pieces of a range on each storage, and of several parts on both: claimed in order, read in any order."""

import dataclasses
import os
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from post3.catalogue.parts import StoredPart
from post3.services.parts import PartsPieces
from post3.storage import BlobMissing, BlobRef, Storage
from post3.storage.base import FIRST_PIECE, KIB, LONG, MIB, PIECE, Pieces
from post3.storage.database.blocks import DatabaseStorage
from post3.storage.filesystem.storage import FilesystemStorage
from post3.storage.handler import storages

from .plain import PlainStorage
from .suite import StorageSuite, in_threads

Read = Callable[[], bytes]
Saved = Callable[[bytes], BlobRef]
Parts = Callable[[list[bytes]], list[StoredPart]]


def claim_all(pieces: Pieces, most: int = PIECE) -> list[Read]:
    """Claim every piece without reading any."""
    claimed = []
    while (read := pieces.reserve(most)) is not None:
        claimed.append(read)
    assert pieces.reserve(most) is None, "nothing follows the end"
    return claimed


def opened(storage: Storage, ref: BlobRef, start: int, length: int, *, checked: bool = True) -> Pieces:
    """Open a range; `checked`: after a look at whether the bytes exist, as before a response."""
    pieces = storage.open(ref, start, length)
    if checked:
        pieces.ensure_readable()
    return pieces


def open_files() -> int:
    """Count the storage's open files, without its open directories and the database's files."""
    targets = []
    for number in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # the listing's own descriptor
            targets.append(os.readlink(f"/proc/self/fd/{number}"))
    return sum("/bytes/" in target and os.path.isfile(target) for target in targets)


def made_files(tmp_path: Path) -> Storage:
    return FilesystemStorage("STANDARD", location=tmp_path / "bytes")


def made_blocks(tmp_path: Path) -> Storage:
    return DatabaseStorage("STANDARD", block_size=300_000)  # neither a multiple nor a divisor of a piece


def made_plain(tmp_path: Path) -> Storage:
    return PlainStorage("STANDARD", tmp_path / "plain")


@pytest.fixture(params=[made_files, made_blocks, made_plain], ids=["files", "blocks", "plain"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Storage]:
    yield request.param(tmp_path)


@pytest.fixture
def saved(catalogue: object, storage: Storage) -> Saved:
    """Return a function that saves bytes and returns their reference."""
    suite = StorageSuite()
    return lambda data: suite.saved(storage, data)


@pytest.mark.parametrize("checked", [True, False])
def test_pieces_read_out_of_order(storage: Storage, saved: Saved, checked: bool) -> None:
    data = random.Random(1).randbytes(5 * MIB + 7)
    ref = saved(data)
    for start, end in ((0, len(data)), (1, len(data) - 1), (MIB - 1, 2 * MIB + 1), (300_000, 600_000), (5, 5)):
        claimed = claim_all(opened(storage, ref, start, end - start, checked=checked))
        order = list(range(len(claimed)))
        random.Random(2).shuffle(order)
        read = {number: claimed[number]() for number in order}
        assert all(0 < len(piece) <= PIECE for piece in read.values())
        assert b"".join(read[number] for number in range(len(claimed))) == data[start:end]


@pytest.mark.parametrize("checked", [True, False])
def test_pieces_read_by_several_threads_at_once(storage: Storage, saved: Saved, checked: bool) -> None:
    data = random.Random(3).randbytes(6 * MIB + 7)
    ref = saved(data)
    pieces = opened(storage, ref, 3, len(data) - 3, checked=checked)
    claimed = claim_all(pieces, 100_000)
    results: list[bytes] = [b""] * len(claimed)

    def read_some(thread: int) -> None:
        for number in range(thread, len(claimed), 6):
            results[number] = claimed[number]()

    in_threads(6, read_some)
    assert b"".join(results) == data[3:]
    assert open_files() == 0, "all pieces are read, so no file may be open"


def test_claims_respect_the_maximum(storage: Storage, saved: Saved) -> None:
    data = random.Random(4).randbytes(2 * MIB + 7)
    pieces, received = storage.open(saved(data), 0, len(data)), b""
    chance = random.Random(5)
    while (read := pieces.reserve(most := chance.choice([1, 1_000, 256 * KIB, 300_000, PIECE]))) is not None:
        piece = read()
        assert 0 < len(piece) <= most
        received += piece
    assert received == data


def test_claims_after_a_peek_respect_the_maximum(storage: Storage, saved: Saved) -> None:
    data = random.Random(6).randbytes(2 * MIB + 7)
    pieces = opened(storage, saved(data), 0, len(data))
    first = pieces.reserve()
    assert first is not None
    others = [read() for read in claim_all(pieces, 1_000 * 97)]
    assert max(map(len, others)) == 97_000
    assert first() + b"".join(others) == data


@pytest.mark.parametrize(("size", "most"), [(LONG, PIECE), (LONG + 1, FIRST_PIECE)])
def test_first_piece_of_a_long_range_is_small(storage: Storage, saved: Saved, size: int, most: int) -> None:
    data = random.Random(7).randbytes(1_000) * (size // 1_000 + 1)
    data = data[:size]
    pieces = list(opened(storage, saved(data), 0, size))
    assert len(pieces[0]) == min(most, getattr(storage, "block_size", PIECE))
    assert b"".join(pieces) == data


@pytest.mark.parametrize("checked", [True, False])
def test_close_before_claimed_pieces_are_read(storage: Storage, saved: Saved, checked: bool) -> None:
    data = random.Random(8).randbytes(3 * MIB)
    ref = saved(data)
    pieces = opened(storage, ref, 0, len(data), checked=checked)
    claimed = [pieces.reserve(200_000) for _ in range(4)]
    pieces.close()
    assert pieces.reserve() is None
    read = [piece() for piece in reversed(claimed)]
    pieces.close()
    assert data.startswith(b"".join(reversed(read))) and all(read)
    assert open_files() == 0


def test_unread_pieces_are_not_left_open(storage: Storage, saved: Saved) -> None:
    ref = saved(os.urandom(3 * MIB))
    pieces = opened(storage, ref, 0, ref.size)
    next(pieces)
    assert open_files() == isinstance(storage, FilesystemStorage)
    pieces.close()
    assert open_files() == 0
    pieces = opened(storage, ref, 0, ref.size)
    claimed = pieces.reserve()  # its reader is cancelled
    pieces.close()
    del pieces, claimed
    assert open_files() == 0


def test_missing_bytes_are_detected_when_opened_and_when_read(storage: Storage, saved: Saved) -> None:
    ref = saved(os.urandom(1000))
    storage.delete(ref)
    with pytest.raises(BlobMissing):
        opened(storage, ref, 0, 1000)
    pieces = storage.open(ref, 0, 1000)
    claimed = pieces.reserve()
    assert claimed is not None
    for _ in range(2):
        with pytest.raises(BlobMissing):
            claimed()
    pieces.close()


def test_bytes_beyond_the_end_are_missing(storage: Storage, saved: Saved) -> None:
    ref = dataclasses.replace(saved(os.urandom(1000)), size=1001)
    with pytest.raises(BlobMissing):
        opened(storage, ref, 0, 1001)


@pytest.fixture
def parts(storage: Storage, saved: Saved, monkeypatch: pytest.MonkeyPatch) -> Parts:
    """Return a function that saves parts one after the other and returns them as the catalogue would."""
    monkeypatch.setattr(storages, "_storages", {"STANDARD": storage})

    def make(datas: list[bytes]) -> list[StoredPart]:
        made, offset = [], 0
        for number, data in enumerate(datas, 1):
            ref = saved(data)
            values = {"part_number": number, "offset": offset, "size": len(data), "blob_id": ref.id, "blob_name": ref.name}
            fields = {field.name for field in dataclasses.fields(StoredPart)}
            rest = dict.fromkeys(fields - values.keys(), "")
            of_blob = {"storage_class": "STANDARD", "blob_size": ref.size, "block_size": ref.block_size}
            made.append(StoredPart(**{**rest, **values, **of_blob}))
            offset += len(data)
        return made

    return make


def test_pieces_of_parts_of_any_range(parts: Parts) -> None:
    datas = [random.Random(size).randbytes(size) for size in (400_000, 1, 300_000, PIECE + 5)]
    data, stored = b"".join(datas), parts(datas)
    edges = [0, 1, 399_999, 400_000, 400_001, 700_000, 700_001, 700_002, len(data) - 1, len(data)]
    for start in edges:
        for end in (edge for edge in edges if edge > start):
            touched = [part for part in stored if part.offset < end and part.offset + part.size > start]
            assert b"".join(PartsPieces(touched, start, end - start)) == data[start:end], (start, end)


def test_pieces_of_parts_by_several_threads_after_a_close(parts: Parts) -> None:
    datas = [random.Random(size).randbytes(size) for size in (400_000, 700_000, 300_000)]
    data = b"".join(datas)
    pieces = PartsPieces(parts(datas), 0, len(data))
    pieces.ensure_readable()
    first = pieces.reserve()
    assert first is not None
    claimed = [first, *claim_all(pieces, 100_000)]
    pieces.close()
    results = in_threads(len(claimed), lambda number: claimed[number]())
    assert b"".join(results) == data
    assert max(map(len, results[1:])) <= 100_000
    assert open_files() == 0


def test_a_missing_first_part_is_detected_when_peeked_at(storage: Storage, parts: Parts) -> None:
    stored = parts([b"a" * 1000, b"b" * 1000])
    storage.delete(BlobRef(stored[0].blob_id or 0, stored[0].blob_name, stored[0].blob_size, stored[0].block_size))
    with pytest.raises(BlobMissing):
        PartsPieces(stored, 0, 2000).ensure_readable()
    assert b"".join(PartsPieces(stored[1:], 1000, 1000)) == b"b" * 1000
