"""Small bytes that were read to verify them are returned whole: no other thread reads them again in pieces."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from post3.models import Blob
from post3.services import objects
from post3.storage.base import FIRST_PIECE, KIB, Pieces
from post3.values import ByteRange

from ..helpers import random_bytes
from ..stores import ALWAYS, Store, files_in, store_on

SMALL_BLOCKS = {"BACKEND": "post3.storage.database.DatabaseStorage", "OPTIONS": {"block_size": 64 * KIB, "row_size": 0}}


@pytest.fixture(params=["files", "small blocks"])
def store(request: pytest.FixtureRequest, catalogue: Any, tmp_path: Path) -> Iterator[Store]:
    with store_on(tmp_path, STANDARD=files_in(tmp_path) if request.param == "files" else SMALL_BLOCKS) as store:
        yield store


def put(store: Store, size: int) -> bytes:
    return store.put("k", 1, random_bytes(size))


def opened(store: Store, byte_range: ByteRange | None = None) -> bytes | Iterator[bytes]:
    return objects.open_object(store.grant, "k", ALWAYS, byte_range).body


@pytest.mark.parametrize("size", [1, 4 * KIB, 64 * KIB])
def test_small_object_is_returned_whole(store: Store, size: int) -> None:
    data = put(store, size)
    assert opened(store) == data


@pytest.mark.parametrize("size", [64 * KIB + 1, FIRST_PIECE, FIRST_PIECE + 1, 5 * FIRST_PIECE])
def test_object_of_any_size_has_all_its_bytes(store: Store, size: int) -> None:
    data = put(store, size)
    body = opened(store)
    assert (body if isinstance(body, bytes) else b"".join(body)) == data


def test_bytes_that_were_not_read_are_opened_in_pieces(tree: Store) -> None:
    """Neither a range of a file nor a file without a known checksum is read before the response starts."""
    data = put(tree, 64 * KIB)
    part = opened(tree, ByteRange(3, 9, ""))
    Blob.objects.update(crc64nvme="")
    whole = opened(tree)
    assert isinstance(part, Pieces) and isinstance(whole, Pieces)
    assert (b"".join(part), b"".join(whole)) == (data[3:10], data)


def test_small_file_is_closed(tree: Store) -> None:
    put(tree, 4 * KIB)
    before = sorted(os.listdir("/proc/self/fd"))
    opened(tree)
    assert sorted(os.listdir("/proc/self/fd")) == before
