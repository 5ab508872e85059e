"""A PostgreSQL cluster that can be killed, all processes together by SIGKILL, and started again with recovery."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..cluster import find_binaries, postmaster_pid, private_cluster

#: Seconds that killed processes may take to disappear.
PATIENCE = 20


class Cluster:
    """The cluster that `private_cluster` created at this URL."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.data = Path(unquote(urlsplit(url).hostname or "")) / "data"

    def kill(self) -> None:
        """Kill the postmaster and all backends together, as a crash of the machine would. Return when they are gone."""
        postmaster = postmaster_pid(self.url)
        os.kill(postmaster, signal.SIGSTOP)  # so that it starts no new children meanwhile
        processes = [postmaster, *_children(postmaster)]
        for pid in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        deadline = time.monotonic() + PATIENCE
        # A remaining process would hold the shared memory, and the next postmaster would refuse to start.
        while any(_is_alive(pid) for pid in processes):
            assert time.monotonic() < deadline, "PostgreSQL survived SIGKILL"
            time.sleep(0.01)
        # If orphans are not reaped, as in a container without an init, the postmaster remains as a zombie, and the next
        # one would consider it running.
        for left in (self.data / "postmaster.pid", *self.data.parent.glob(".s.PGSQL.*.lock")):
            left.unlink(missing_ok=True)

    def start(self) -> None:
        """Start the cluster after `kill`. Return when it has recovered."""
        binaries = find_binaries()
        assert binaries is not None
        as_owner = ["runuser", "-u", self.data.owner(), "--"] if os.geteuid() == 0 else []
        command = [*as_owner, str(binaries / "pg_ctl"), "-D", str(self.data), "-l", str(self.data.parent / "log"), "-w"]
        with open(self.data.parent / "commands.log", "ab") as log:
            done = subprocess.run([*command, "-t", "60", "start"], cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        assert done.returncode == 0, (self.data.parent / "log").read_text(errors="replace")[-5000:]


@contextlib.contextmanager
def killable_cluster() -> Iterator[Cluster]:
    """Start a separate cluster. It must be running at the end, when it is removed."""
    with private_cluster() as url:
        yield Cluster(url)


def _stat(pid: int | str) -> list[str]:
    """Return the fields of /proc/<pid>/stat starting with the state, or nothing if the process is gone."""
    try:
        # The name, in parentheses, may contain spaces.
        return Path("/proc", str(pid), "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def _children(parent: int) -> list[int]:
    return [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and _stat(pid)[1:2] == [str(parent)]]


def _is_alive(pid: int) -> bool:
    return _stat(pid)[:1] not in ([], ["Z"], ["X"])
