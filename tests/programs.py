"""Programs that tests run: found on this machine, or installed with apt-get like PostgreSQL in `tests/cluster.py`."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def ensure_program(name: str, *packages: str) -> str:
    """Return the path of a program, installing its Debian packages if it is missing. Raises RuntimeError."""
    if found := shutil.which(name):
        return found
    with _one_at_a_time():
        _install(name, packages)
    if found := shutil.which(name):
        return found
    raise RuntimeError(f"apt-get installed {', '.join(packages)}, but there is still no {name}.")


def _install(name: str, packages: tuple[str, ...]) -> None:
    prefix = [] if os.geteuid() == 0 else ["sudo", "-n"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for arguments in (["update", "-q"], ["install", "-q", "-y", "--no-install-recommends", *packages]):
        try:
            subprocess.run([*prefix, "apt-get", *arguments], env=environment, stdin=subprocess.DEVNULL, check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise RuntimeError(f"There is no {name} on this machine, and installing it failed: {error}") from None


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Wait until no other run of the tests installs anything, because two apt-gets cannot run at the same time."""
    with open(Path(tempfile.gettempdir(), f"post3-tests-install-{os.geteuid()}"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
