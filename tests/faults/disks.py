"""A small disk that is soon full: a file system of a few MiB in memory, mounted for a test."""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def small_disk(directory: Path, mib: int, owner: str = "root") -> Iterator[Path]:
    """Mount the disk at `directory` and unmount it afterwards. Fails without root or passwordless sudo."""
    directory.mkdir(parents=True, exist_ok=True)
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    options = f"size={mib}m,mode=0777"
    subprocess.run([*prefix, "mount", "-t", "tmpfs", "-o", options, "tmpfs", str(directory)], check=True)
    try:
        if os.geteuid() == 0 and owner != "root":
            subprocess.run(["chown", owner, str(directory)], check=True)
        yield directory
    finally:
        # Lazily, because a process that was just killed may not be gone yet.
        subprocess.run([*prefix, "umount", "-l", str(directory)], check=True)


def reserve(directory: Path, mib: int) -> Path:
    """Reserve space with a file, which can be removed to free the space."""
    path = directory / "ballast"
    path.write_bytes(bytes(mib << 20))
    return path
