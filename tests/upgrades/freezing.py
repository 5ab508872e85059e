"""Convert a stopped server's store to files of this repository, and back.

The data directory is a tar archive. A PostgreSQL catalogue is a script of statements for version 15 or newer.
"""

import gzip
import json
import re
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

from ..cluster import find_binaries
from ..servers import Server

STORES = Path(__file__).parent / "stores"
#: Kind of store -> its server's environment, except DATABASE_URL.
KINDS: dict[str, dict[str, str]] = {
    "sqlite-files": {},
    "sqlite-blocks": {"POST3_STORAGE": "database"},
    "postgresql-blocks": {},
    "postgresql-files": {"POST3_STORAGE": "filesystem"},
}
#: Prevents servers and workers from changing a store because of the time that has passed since it was frozen.
ENVIRONMENT = {"POST3_MIN_PART_SIZE": "1", "POST3_MULTIPART_UPLOAD_SECONDS": "0"}
#: The file that post3 keeps next to a SQLite catalogue to reserve free space: 4 MiB of zeros.
RESERVE = "catalogue.sqlite3-reserve"
# Lines of newer dumps that only psql or newer servers understand.
_TOO_NEW = re.compile(r"^(\\(un)?restrict |SET transaction_timeout = )")


def expected_of(release: Path) -> dict[str, dict[str, Any]]:
    """Return the expected contents of a release's stores by kind, with corrections made by later releases."""
    return json.loads((release / "expected.json").read_text(), object_hook=_corrected)


def _corrected(values: dict[str, Any]) -> dict[str, Any]:
    """Release 0010 sent a Content-Range for an empty part, which is not possible (RFC 9110, 14.4)."""
    if values.get("content-length") == "0":
        values.pop("content-range", None)
    return values


def freeze(server: Server, kind: str, release: Path) -> None:
    """Write the store of a stopped server."""
    data = Path(server.environment["POST3_DATA_DIR"])
    if kind.startswith("sqlite"):
        with closing(sqlite3.connect(data / "catalogue.sqlite3")) as catalogue:
            catalogue.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    if data.exists() and any(data.iterdir()):
        owner = ("--owner=0", "--group=0", "--numeric-owner", "--sort=name")
        _run("tar", "-C", data, *owner, f"--exclude=./{RESERVE}", "-czf", release / f"{kind}.tar.gz", ".")
    if url := server.environment.get("DATABASE_URL"):
        (release / f"{kind}.sql.gz").write_bytes(gzip.compress(_dump(url), mtime=0))


def restore(release: Path, kind: str, directory: Path, database_url: str = "") -> Server:
    """Return a stopped server on a copy of a frozen store. The database, if any, must be empty."""
    expected = expected_of(release)[kind]
    environment = {**ENVIRONMENT, **KINDS[kind], "POST3_SECRET_KEY": expected["secret_key"]}
    if database_url:
        environment["DATABASE_URL"] = database_url
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(gzip.decompress((release / f"{kind}.sql.gz").read_bytes()))
    server = Server(directory, environment)
    unpack(release, kind, Path(server.environment["POST3_DATA_DIR"]))
    return server


def unpack(release: Path, kind: str, data: Path) -> None:
    """Unpack the data directory of a frozen store."""
    data.mkdir(mode=0o700)
    archive = release / f"{kind}.tar.gz"
    if archive.exists():
        _run("tar", "-C", data, "--no-same-owner", "-xzf", archive)


def _dump(url: str) -> bytes:
    """Return statements that recreate a database."""
    binaries = find_binaries()
    assert binaries is not None
    # INSERT instead of COPY, because only psql can send COPY's data.
    script = _run(binaries / "pg_dump", "--rows-per-insert=50", "--no-owner", "--no-privileges", url).decode()
    return "".join(line for line in script.splitlines(keepends=True) if not _TOO_NEW.match(line)).encode()


def _run(*command: str | Path) -> bytes:
    done = subprocess.run(command, capture_output=True)
    assert done.returncode == 0, f"{command}: {done.stderr.decode(errors='replace')}"
    return done.stdout
