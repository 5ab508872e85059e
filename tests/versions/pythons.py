"""The Pythons on this machine that post3 supports, each with an environment that has the server's requirements."""

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from ..cache import cached
from ..servers import ROOT

REQUIREMENTS = ROOT / "requirements" / "base.txt"
OLDEST_MINOR = 11
#: Prints the version of a Python that can make environments and has SQLite.
PROBE = "import ensurepip, sqlite3, ssl, sys; print('%d.%d' % sys.version_info[:2])"


def found() -> dict[str, Path]:
    """Return the Pythons of this machine, including the running one. Maps each version, such as `3.12`, to one path."""
    pythons = {f"{sys.version_info.major}.{sys.version_info.minor}": Path(sys.executable)}
    for path in _candidates():
        version = path.name.removeprefix("python")
        if version not in pythons and _is_usable(path, version):
            pythons[version] = path
    return dict(sorted(pythons.items(), key=lambda item: int(item[0].partition(".")[2])))


def environment(python: Path) -> Path:
    """Return the Python of an environment with the packages in requirements/base.txt, which is cached."""
    key = hashlib.sha256(REQUIREMENTS.read_bytes() + bytes(python.resolve())).hexdigest()[:16]
    return cached(f"python-{key}", lambda directory: _install(python, directory)) / "bin" / "python"


def _candidates() -> Iterator[Path]:
    """Yield programs named after a version, on PATH or from pyenv, which puts only selected ones on PATH."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for directory in [*map(Path, os.environ.get("PATH", "").split(os.pathsep)), *sorted(pyenv.glob("versions/*/bin"))]:
        for path in sorted(directory.glob("python3.*")):
            minor = re.fullmatch(r"python3\.(\d+)", path.name)
            if minor and int(minor[1]) >= OLDEST_MINOR:
                yield path


def _is_usable(python: Path, version: str) -> bool:
    """Whether the program is that version and has the modules that a server needs. Its name does not prove it."""
    try:
        done = subprocess.run([python, "-c", PROBE], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and done.stdout.strip() == version


def _install(python: Path, directory: Path) -> None:
    pip = [str(directory / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    for command in ([str(python), "-m", "venv", str(directory)], [*pip, "-r", str(REQUIREMENTS)]):
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
