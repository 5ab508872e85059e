"""A few power cuts of each configuration, and tests of the simulated disk.

`python -m tests.faults powercut` runs hundreds of power cuts.
"""

import os
import random
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from . import crash
from .powercut import CONFIGURATIONS, Disk, powered

CUTS = 3

#: Writes to the given directory step by step. The file names say what is synced.
WRITES = """
import os, sys
os.chdir(sys.argv[1])
def sync(path):
    place = os.open(path, os.O_RDONLY)
    os.fsync(place)
    os.close(place)
def write(path, text, synced=True):
    with open(path, 'w+') as file:
        file.write(text)
        file.flush()
        if synced:
            os.fdatasync(file.fileno())
write('kept', 'whole')
write('renamed from', 'name')
write('removed', 'still here')
write('no data', 'lost', synced=False)
os.makedirs('a', exist_ok=True)
write('a/kept', 'below')
sync('a')
sync('.')
write('no name', 'lost')
write('kept', 'whole and more, not synced', synced=False)
write('a/no name', 'lost')
os.rename('renamed from', 'renamed to')
os.unlink('removed')
"""
LEFT = {"kept": "whole", "renamed from": "name", "removed": "still here", "no data": "", "a/kept": "below"}


def test_nothing_acknowledged_is_lost_by_power_cuts() -> None:
    def run(configuration: str) -> str:
        with powered(configuration, seed=3) as one:
            result = crash.run(one, CUTS, seed=3)
            assert one.cuts == CUTS and result.journal.acknowledged >= crash.WRITES * CUTS and result.findings.blobs
            return "" if result.ok else crash.report(configuration, result) + one.server.log()[-10_000:]

    with ThreadPoolExecutor(len(CONFIGURATIONS)) as pool:  # in parallel, as they mostly wait
        assert not "".join(pool.map(run, CONFIGURATIONS))


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    for name in ("root", "aside"):
        (tmp_path / name).mkdir()
    return Disk(tmp_path / "root", tmp_path / "aside", random.Random(1))


def write(disk: Disk, environment: dict[str, str]) -> None:
    subprocess.run([sys.executable, "-c", WRITES, str(disk.root)], env=os.environ | environment, check=True)


def left(disk: Disk) -> dict[str, str]:
    return {str(path.relative_to(disk.root)): path.read_text() for path in disk.root.rglob("*") if path.is_file()}


def test_a_disk_keeps_only_synced_data(disk: Disk) -> None:
    disk.sync()
    write(disk, disk.environment)
    disk.cut(all_lost=True)
    assert left(disk) == LEFT
    disk.cut(all_lost=True)  # everything left is durable
    assert left(disk) == LEFT


def test_a_disk_may_keep_more_than_the_synced_data(disk: Disk) -> None:
    seen = set()
    for _ in range(12):
        write(disk, disk.environment)
        disk.cut(all_lost=False)
        found = left(disk)
        assert found["a/kept"] == "below" and {"kept", "no data"} <= found.keys()
        seen |= set(found) | {f"kept: {found['kept']}"}
    assert {"renamed to", "no name", "a/no name", "kept: whole", "kept: whole and more, not synced"} <= seen


@pytest.mark.parametrize(("ignored", "kept"), [("files", dict.fromkeys(LEFT, "")), ("directories", {})])
def test_a_disk_that_ignores_syncs_loses_data(disk: Disk, ignored: str, kept: dict[str, str]) -> None:
    disk.sync()
    write(disk, disk.environment | {"FAULTS_IGNORE": ignored})
    disk.cut(all_lost=True)
    assert left(disk) == kept
