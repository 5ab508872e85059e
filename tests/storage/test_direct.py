"""Writing large files past the page cache: whatever the pieces and the file system, the bytes are the ones written."""

import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from post3.storage.filesystem import direct
from post3.storage.filesystem.direct import BLOCK, LargeFile

#: Lengths of consecutive pieces.
PIECES = [
    [],
    [1],
    [BLOCK - 1],
    [BLOCK],
    [BLOCK + 1],
    [BLOCK] * 3,
    [BLOCK, BLOCK, 5],
    [100_000] * 25,
    [1, BLOCK, 4096, 3 * BLOCK + 7, 1],
    [12 * BLOCK],
]


def written(path: Path, lengths: Sequence[int]) -> bytes:
    """Write random pieces to a new file and return them."""
    pieces = [os.urandom(length) for length in lengths]
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
    try:
        large = LargeFile(file)
        for piece in pieces:
            large.write(piece)
        large.finish()
        assert large.size == sum(lengths)
    finally:
        os.close(file)
    return b"".join(pieces)


@pytest.mark.parametrize("lengths", PIECES, ids=str)
def test_pieces_of_any_length(tmp_path: Path, lengths: list[int]) -> None:
    assert written(tmp_path / "file", lengths) == (tmp_path / "file").read_bytes()


@pytest.mark.parametrize("lengths", PIECES, ids=str)
def test_file_system_without_direct_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lengths: list[int]) -> None:
    monkeypatch.setattr(direct, "_set_direct", lambda file, wanted: False)
    assert written(tmp_path / "file", lengths) == (tmp_path / "file").read_bytes()


def patched(monkeypatch: pytest.MonkeyPatch, write: Callable[[Callable[..., int], int, Any, int], int]) -> None:
    """Make `write` perform the module's direct writes, on any file system.

    It receives the real function and a count.
    """
    monkeypatch.setattr(direct, "_set_direct", lambda file, wanted: wanted)
    real, count = os.write, 0

    def replaced(file: int, data: Any) -> int:
        nonlocal count
        count += 1
        return write(real, file, data, count)

    monkeypatch.setattr(direct.os, "write", replaced)


def test_file_system_that_refuses_at_the_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(write: Callable[..., int], file: int, data: Any, count: int) -> int:
        if count == 2:
            raise OSError(errno.EINVAL, "Invalid argument")
        return write(file, data)

    patched(monkeypatch, refuse)
    assert written(tmp_path / "file", [BLOCK] * 4) == (tmp_path / "file").read_bytes()


def test_page_cache_is_bypassed_if_possible(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = []
    real = direct._set_direct
    monkeypatch.setattr(direct, "_set_direct", lambda file, wanted: told.append(real(file, wanted)) or told[-1])
    written(tmp_path / "file", [BLOCK, BLOCK, 5])
    assert told in ([True, False], [False]), "direct for the blocks, buffered for the rest"


def test_write_that_accepts_fewer_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def take_less(write: Callable[..., int], file: int, data: Any, count: int) -> int:
        return write(file, memoryview(data)[:4096] if count == 2 else data)

    patched(monkeypatch, take_less)
    assert written(tmp_path / "file", [BLOCK, 3 * BLOCK, 11]) == (tmp_path / "file").read_bytes()


def test_other_errors_are_raised_and_the_memory_is_reused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(write: Callable[..., int], file: int, data: Any, count: int) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    direct._buffers.clear()
    patched(monkeypatch, fail)
    with pytest.raises(OSError, match="No space"):
        written(tmp_path / "file", [BLOCK])
    assert len(direct._buffers) == 1
