"""Counters shared by processes. Because files are locked, two `ProcessCounters` in a process act like two processes."""

import contextlib
import os
import signal
from pathlib import Path

import pytest

from post3.telemetry import shared_memory
from post3.telemetry.counters import ProcessCounters

from ..faults.disks import small_disk

OPERATIONS, STATUSES = ("Get", "Put"), (200, 404)


def counts_in(directory: Path, operations: tuple[str, ...] = OPERATIONS) -> ProcessCounters:
    counts = ProcessCounters()
    counts.declare(operations, STATUSES)
    counts.share(str(directory))
    return counts


def count(counts: ProcessCounters, operation: str = "Get", status: int = 200) -> None:
    counts.begin()
    counts.finish(operation, status, 0.003, 10, 20, True)


def test_a_process_alone_counts_in_its_own_memory(tmp_path: Path) -> None:
    counts = ProcessCounters()
    counts.declare(OPERATIONS, STATUSES)
    count(counts)
    count(counts, "Put", 404)
    count(counts, "Put", 418)
    sums = counts.read()
    assert sums.processes == 1 and sums.gauges["in_flight"] == 0
    assert sums.rows["Get"].statuses == {200: 1, 404: 0, 0: 0}
    assert sums.rows["Put"].statuses == {200: 0, 404: 1, 0: 1}
    assert (sums.rows["Put"].received, sums.rows["Put"].sent, sums.rows["Put"].broken_off) == (20, 40, 0)
    assert not list(tmp_path.iterdir())


def test_each_of_several_tells_the_sum(tmp_path: Path) -> None:
    first, second = counts_in(tmp_path), counts_in(tmp_path)
    count(first)
    for _ in range(2):
        count(second)
    second.begin()
    for counts in (first, second):
        sums = counts.read()
        assert (sums.processes, sums.gauges["in_flight"], sums.rows["Get"].statuses[200]) == (2, 1, 3)


def test_the_file_of_a_killed_process_counts_on_without_what_it_was_at(tmp_path: Path) -> None:
    first = counts_in(tmp_path)
    first.begin()
    child = os.fork()
    if child == 0:
        count(first)
        first.begin()
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    sums = first.read()
    assert (sums.processes, sums.gauges["in_flight"], sums.rows["Get"].statuses[200]) == (1, 1, 1)
    second = counts_in(tmp_path)
    count(second)
    assert len(list(tmp_path.iterdir())) == 2, "the file of the dead process was not reused"
    sums = first.read()
    assert (sums.processes, sums.gauges["in_flight"], sums.rows["Get"].statuses[200]) == (2, 1, 2)


def test_files_of_another_version_are_removed_once_nobody_holds_them(tmp_path: Path) -> None:
    old = counts_in(tmp_path)
    count(old)
    new = counts_in(tmp_path, ("Get", "Put", "Post"))
    count(new)
    assert new.read().rows["Get"].statuses[200] == 1, "the counters of another version were read"
    assert len(list(tmp_path.iterdir())) == 2
    shared_memory.remove(str(tmp_path))
    assert len(list(tmp_path.iterdir())) == 2, "a file in use was removed"
    new._forget()
    shared_memory.remove(str(tmp_path))
    assert len(list(tmp_path.iterdir())) == 2, "a file with counts was removed while another was in use"
    old._forget()
    count(counts_in(tmp_path, ("Post",)))
    assert len(list(tmp_path.iterdir())) == 1


def test_a_directory_that_is_not_ours_is_not_trusted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    counts = counts_in(tmp_path / "link")
    count(counts)
    assert counts.read().rows["Get"].statuses[200] == 1
    assert not list((tmp_path / "elsewhere").iterdir())
    assert "cannot count together" in caplog.text


def test_the_file_of_a_process_has_room_on_the_disk(tmp_path: Path) -> None:
    """A process is killed (SIGBUS) if it counts in a page for which the disk has no space left."""
    counts = counts_in(tmp_path, OPERATIONS * 500)
    count(counts)
    (path,) = tmp_path.iterdir()
    assert path.stat().st_blocks * 512 >= path.stat().st_size > 4096


def test_a_sparse_file_of_an_earlier_version_gets_its_room(tmp_path: Path) -> None:
    first = counts_in(tmp_path, OPERATIONS * 500)
    count(first)
    (path,) = tmp_path.iterdir()
    first._forget()
    data = path.read_bytes()
    path.unlink()
    with open(path, "wb") as sparse:
        sparse.write(data[:4096])
        sparse.truncate(len(data))
    path.chmod(0o600)
    count(counts_in(tmp_path, OPERATIONS * 500))
    assert path.stat().st_blocks * 512 >= len(data)


def test_room_is_made_where_the_system_cannot_allocate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "posix_fallocate")
    counts = counts_in(tmp_path, OPERATIONS * 500)
    count(counts)
    (path,) = tmp_path.iterdir()
    assert path.stat().st_blocks * 512 >= path.stat().st_size > 4096
    assert counts.read().rows["Get"].statuses[200] == 1


def test_a_process_counts_for_itself_where_the_disk_is_full(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The count runs in a child process, because SIGBUS would kill it."""
    with small_disk(tmp_path / "disk", 1) as disk:
        first = counts_in(disk / "counts", OPERATIONS * 500)
        count(first)
        reserve(disk)
        child = os.fork()
        if child == 0:
            status = 1
            try:
                second = counts_in(disk / "counts", OPERATIONS * 500)
                for name in (*OPERATIONS * 500, "other"):
                    count(second, name)
                status = 0 if second.read().rows["Get"].statuses[200] == 500 and "cannot count together" in caplog.text else 2
            finally:
                os._exit(status)
        assert os.waitpid(child, 0)[1] == 0
        count(first)
        assert first.read().rows["Get"].statuses[200] == 2


def reserve(disk: Path) -> None:
    """Fill the disk."""
    with open(disk / "ballast", "wb", buffering=0) as ballast, contextlib.suppress(OSError):
        while True:
            ballast.write(bytes(4096))
