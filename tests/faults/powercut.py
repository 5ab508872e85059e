"""Power cuts: server and worker are killed, and only the data that a disk must have kept remains.

    python -m tests.faults powercut --cuts 100 --configurations sqlite-files --seed 7

`disk.c`, preloaded into both, copies the data that each fsync makes durable: a file's bytes, a directory's entries.
After the kill the tree is rebuilt. Each file has the bytes of its last sync, and each directory the entries of its last
sync. In every second round all later changes are lost. In the other rounds each entry and each file is randomly in its
old or new state, or a file's bytes are a mixture of pages or a part of the new state. SQLite's own files are part of
the tree like all others. PostgreSQL is killed and keeps its files. The checks are those of `crash.py`.
"""

import argparse
import contextlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..programs import ensure_program
from . import crash
from .cluster import Cluster, killable_cluster
from .stand import Stand

CONFIGURATIONS = ("sqlite-files", "postgresql-files")
PAGE = 4096

#: Syncs everything below a directory, so that the preloaded disk records all of it.
SYNC_ALL = """
import os, sys
for path, directories, files in os.walk(sys.argv[1]):
    for name in ('.', *files):
        place = os.open(os.path.join(path, name), os.O_RDONLY)
        os.fsync(place)
        os.close(place)
"""


def build(directory: Path) -> Path:
    """Compile the disk library and return its path. Raises if there is no C compiler and none can be installed."""
    library, compiler = directory / "disk.so", ensure_program("cc", "gcc", "libc6-dev")
    command = [compiler, "-shared", "-fPIC", "-O2", "-Wall", "-o", str(library), str(Path(__file__).with_name("disk.c"))]
    subprocess.run(command, check=True)
    return library


class Disk:
    """The disk below `root`. `environment` makes a process use it. `ignore` is the value of FAULTS_IGNORE."""

    def __init__(self, root: Path, aside: Path, chosen: random.Random, ignore: str = "") -> None:
        self.root, self._kept, self._now, self._chosen = root, aside / "kept", aside / "now", chosen
        self.environment = {"LD_PRELOAD": str(build(aside)), "FAULTS_ROOT": str(root), "FAULTS_KEPT": str(self._kept)}
        self._kept.mkdir()
        self._lying = {"FAULTS_IGNORE": ignore} if ignore else {}

    @property
    def of_server(self) -> dict[str, str]:
        """Return the environment variables that a server needs."""
        return self.environment | self._lying

    def sync(self, kept: Path | None = None) -> None:
        """Make everything durable, while nothing is being written. With `kept`, record it there instead."""
        environment = os.environ | self.environment | {"FAULTS_KEPT": str(kept or self._kept)}
        subprocess.run([sys.executable, "-S", "-c", SYNC_ALL, str(self.root)], env=environment, check=True)

    def cut(self, *, all_lost: bool) -> None:
        """Replace the root by the data that the disk has kept. The root must not be in use."""
        self._now.mkdir()
        self.sync(self._now)
        gone = self.root.with_name("before-the-cut")
        self.root.rename(gone)
        self._restore("root", self.root, all_lost)
        for path in (gone, self._kept, self._now):
            shutil.rmtree(path)
        self._kept.mkdir()
        self.sync()

    def _restore(self, name: str, path: Path, all_lost: bool) -> None:
        path.mkdir()
        before, after = self._entries(self._kept, name), self._entries(self._now, name)
        for entry in sorted(before.keys() | after.keys()):
            found = before.get(entry)
            if not all_lost and found != after.get(entry):
                found = self._chosen.choice((found, after.get(entry)))
            if found is None or entry.endswith("-shm"):  # SQLite's shared memory, created again by its first user
                continue
            kind, inode = found
            if kind == "d":
                self._restore(inode, path / entry, all_lost)
            else:
                (path / entry).write_bytes(self._content(inode, all_lost))

    def _entries(self, noted: Path, name: str) -> dict[str, tuple[str, str]]:
        """Return a directory's recorded entries as name -> (d or f, inode), or {} if it was never synced."""
        try:
            lines = (noted / name).read_text().splitlines()
        except FileNotFoundError:
            return {}
        return {entry: (kind, inode) for kind, inode, entry in (line.split(" ", 2) for line in lines)}

    def _content(self, inode: str, all_lost: bool) -> bytes:
        """Return bytes that a disk may have kept of a file: the synced ones, the ones written since, or a mixture."""
        before, after = (path.read_bytes() if path.exists() else None for path in (self._kept / inode, self._now / inode))
        if before is not None and (all_lost or after is None or before == after):
            return before
        if all_lost or after is None:
            return b""
        kind, before = self._chosen.randrange(4), before or b""
        if kind == 0:
            return before
        if kind == 1:
            return after
        if kind == 2:
            return after[: self._chosen.randint(0, len(after))] if after.startswith(before) else before
        pages = range(0, max(len(before), len(after)), PAGE)
        mixed = b"".join(self._chosen.choice((before, after))[page : page + PAGE].ljust(PAGE, b"\0") for page in pages)
        return mixed[: self._chosen.choice((len(before), len(after)))]


class PoweredStand(Stand):
    """A stand whose power is cut, instead of killing single processes."""

    def __init__(self, configuration: str, directory: Path, cluster: Cluster | None, seed: int, ignore: str) -> None:
        super().__init__(configuration, directory, cluster, "uvicorn", 0)
        self.targets = ["all"]
        self._chosen, self.cuts = random.Random(seed), 0
        aside = directory / "disk"
        aside.mkdir()
        self._disk = Disk(directory / "var", aside, self._chosen, ignore)
        self.server.environment |= self._disk.of_server

    def start(self) -> None:
        super().start()
        self._disk.sync()

    def kill(self, target: str) -> None:
        super().kill(target)
        self._disk.cut(all_lost=self.cuts % 2 == 0)
        self.cuts += 1


@contextlib.contextmanager
def powered(configuration: str, seed: int, ignore: str = "") -> Iterator[PoweredStand]:
    """Start a configuration on such a disk. Always stop and remove it."""
    with contextlib.ExitStack() as stack:
        cluster = stack.enter_context(killable_cluster()) if configuration.startswith("postgresql") else None
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="post3-powercut-")))
        one = PoweredStand(configuration, directory, cluster, seed, ignore)
        stack.callback(one.stop)
        one.start()
        yield one


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults powercut", description=__doc__.split("\n")[0])
    parser.add_argument("--cuts", type=int, default=100, help="power cuts of each configuration (default: 100)")
    parser.add_argument("--configurations", default=",".join(CONFIGURATIONS), metavar="NAME,…")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(24))
    given = parser.parse_args(arguments)
    failed = 0
    for configuration in given.configurations.split(","):
        with powered(configuration, given.seed) as one:
            result = crash.run(one, given.cuts, given.seed, lambda line: print(line, flush=True))
            print(crash.report(f"{configuration}, power cuts", result), flush=True)
            failed += not result.ok
    return 1 if failed else 0
