"""The cost of processes: the CPU time of a server with all its children, and of the whole machine."""

import os
from collections.abc import Iterable
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def tree_cpu(roots: Iterable[int]) -> float:
    """Return the CPU seconds used by these processes and all their descendants, including terminated ones."""
    times: dict[int, int] = {}
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                # The name, in parentheses, may contain spaces.
                fields = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue  # it has terminated meanwhile
            # utime, stime, and those of terminated children.
            times[int(entry)] = sum(int(field) for field in fields[11:15])
            children.setdefault(int(fields[1]), []).append(int(entry))
    total, waiting = 0, list(roots)
    while waiting:
        pid = waiting.pop()
        total += times.get(pid, 0)
        waiting += children.get(pid, [])
    return total / TICKS


def machine_cpu() -> float:
    """Return the CPU seconds that the whole machine has been busy, without idle time and waiting for disks."""
    user, nice, system, _idle, _iowait, irq, softirq = (int(field) for field in _first_line("/proc/stat").split()[1:8])
    return (user + nice + system + irq + softirq) / TICKS


def filesystem_of(path: Path) -> str:
    """Return the type of file system that a path is on: `ext4`, `tmpfs`, … ."""
    mounts = [line.split()[1:3] for line in Path("/proc/self/mounts").read_text().splitlines()]
    above = {str(path.resolve()), *(str(parent) for parent in path.resolve().parents)}
    return max(((place, kind) for place, kind in mounts if place in above), key=lambda mount: len(mount[0]))[1]


def _first_line(path: str) -> str:
    with open(path) as file:
        return file.readline()
