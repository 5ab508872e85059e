"""Check what a power cut could destroy: the order of writes, syncs, renames and responses, read with strace.

Data is safe once it is synced; a name is safe once its directory is synced. A trace of one client's requests must
therefore show that a file gets its name after its data is synced, that all files and names are synced before the
catalogue is written, that bytes are deleted only after the catalogue's commit is synced, and that nothing is left to
sync when a response is written to the socket.
"""

import contextlib
import os
import re
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..programs import ensure_program

TRACED = (
    "write,writev,pwrite64,pwritev,copy_file_range,sendto,sendmsg,mkdir,mkdirat,rename,renameat,renameat2,link,linkat,"
    "unlink,unlinkat,fsync,fdatasync"
)
#: Seconds that strace may take to attach to every thread, and to write its last line.
PATIENCE = 30

CALL = re.compile(r"\d+ +(?:<\.\.\. )?(\w+)(\(| resumed>)(.*)")
DESCRIPTOR = re.compile(r"(?:\d+|AT_FDCWD)<([^>]*)>")
STEP = re.compile(r'(?:\d+|AT_FDCWD)<([^>]*)>, "([^"]*)"')


@dataclass
class Order:
    """The state of a trace so far. Only paths below `root`, the directory of catalogue and files, count."""

    root: str
    faults: list[str] = field(default_factory=list)
    #: Number of events of each kind, so that a test can check that there were any.
    seen: Counter[str] = field(default_factory=Counter)
    #: Files with data, and directories with names, that a power cut could destroy.
    files: set[str] = field(default_factory=set)
    directories: set[str] = field(default_factory=set)
    #: Directories with removed names that were not synced, since the last response.
    removed: set[str] = field(default_factory=set)
    #: True if a commit was synced since the last response.
    committed: bool = False
    _syncing: dict[str, str] = field(default_factory=dict)

    def read(self, lines: Iterable[str]) -> "Order":
        for line in lines:
            if match := CALL.match(line):
                self._call(line.split(" ", 1)[0], match[1], match[2] != "(", match[3])
        return self

    def _call(self, thread: str, name: str, resumed: bool, rest: str) -> None:
        """Process one line. A sync counts when it ends, everything else when it starts."""
        if name in ("fsync", "fdatasync"):
            path = self._syncing.pop(thread, "") if resumed else _path(rest)
            if "<unfinished" in rest:
                self._syncing[thread] = path
            elif rest.rstrip().endswith("= 0"):
                self._synced(path)
            return
        if resumed or "= -1 " in rest:
            return
        if name in ("write", "writev", "sendto", "sendmsg") and "<TCP" in rest.split(",")[0]:
            if "HTTP/1.1 " in rest and (status := rest.partition("HTTP/1.1 ")[2][:3]) != "100":
                self._answered(status)
        elif name in ("write", "writev", "pwrite64", "pwritev"):
            self._written(_path(rest))
        elif name == "copy_file_range":
            self._written(DESCRIPTOR.findall(rest)[-1])
        else:
            steps = [f"{directory}/{entry}" for directory, entry in STEP.findall(rest)] or re.findall(r'"([^"]*)"', rest)
            steps = [step for step in steps if self._counts(step)]
            if steps:
                self._named(name, steps)

    def _named(self, call: str, paths: list[str]) -> None:
        if call.startswith(("unlink", "rename")) and "/.tmp/" not in paths[0]:
            self.seen["removed"] += 1
            self.removed.add(os.path.dirname(paths[0]))
            if not self.committed:
                self.faults.append(f"{paths[0]} is removed before the catalogue's commit is synced")
        if call.startswith("unlink"):
            self.files.discard(paths[0])
            return
        if call.startswith(("rename", "link")):
            self.seen["named"] += 1
            if paths[0] in self.files:
                self.faults.append(f"{paths[0]} gets its name before its data is synced")
        self.directories.add(os.path.dirname(paths[-1]))

    def _written(self, path: str) -> None:
        if not self._counts(path):
            return
        if path.endswith("-wal"):
            self.seen["catalogue written"] += 1
            left = {file for file in self.files if "catalogue.sqlite3" not in file} | self.directories
            self.faults += [f"the catalogue is written before {one} is synced" for one in sorted(left)]
        self.files.add(path)

    def _synced(self, path: str) -> None:
        self.seen["synced"] += 1
        self.committed |= path.endswith("-wal") and path in self.files
        for left in (self.files, self.directories, self.removed):
            left.discard(path)

    def _answered(self, status: str) -> None:
        self.seen[f"answered {status}"] += 1
        left = self.files | self.directories
        if status == "204":  # an overwritten description may reappear, as its successor exists; a deleted one may not
            left |= self.removed
        self.faults += [f"{status} is answered before {one} is synced" for one in sorted(left)]
        self.committed = False
        self.removed.clear()

    def _counts(self, path: str) -> bool:
        return path.startswith(f"{self.root}/") and not path.endswith("-shm")


def _path(rest: str) -> str:
    match = DESCRIPTOR.match(rest)
    return match[1] if match else ""


@contextlib.contextmanager
def traced(pid: int, output: Path) -> Iterator[None]:
    """Trace a process with all its threads to a file. The trace is complete afterwards."""
    strace = ensure_program("strace", "strace")
    command = [strace, "-f", "-yy", "-s", "64", "-e", f"trace={TRACED}", "-o", str(output), "-p", str(pid)]
    # If another tracer is attached or tracing is not permitted, attaching fails, and the test with it.
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            deadline = time.monotonic() + PATIENCE
            while not _is_traced(pid, process.pid):
                assert process.poll() is None, f"strace failed: {process.stderr and process.stderr.read()}"
                assert time.monotonic() < deadline, "strace did not attach"
                time.sleep(0.05)
            yield
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=PATIENCE)


def _is_traced(pid: int, tracer: int) -> bool:
    """Return whether every thread of a process is traced."""
    states = [(task / "status").read_text() for task in Path("/proc", str(pid), "task").iterdir()]
    return all(f"TracerPid:\t{tracer}\n" in state for state in states)
