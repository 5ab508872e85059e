"""Programs that the tests install once and keep between runs, in a directory outside the tree."""

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

#: Created last, so that an interrupted installation is not mistaken for a complete one.
COMPLETE = ".complete"


def cached(name: str, install: Callable[[Path], None]) -> Path:
    """Return the directory of that name. `install` fills it the first time, while other runs of the tests wait."""
    directory = _root() / name
    directory.parent.mkdir(parents=True, exist_ok=True)
    with open(directory.with_name(f"{directory.name}.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (directory / COMPLETE).exists():
            shutil.rmtree(directory, ignore_errors=True)
            directory.mkdir()
            install(directory)
            (directory / COMPLETE).touch()
    return directory


def _root() -> Path:
    """Return the cache's directory. Root's is readable by other users, because PostgreSQL does not run as root."""
    if os.geteuid() == 0:
        return Path("/var/cache/post3-tests")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "post3-tests"
