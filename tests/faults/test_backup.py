"""Backup and restore during writes, as in docs/operations.md.

All objects in the restored catalogue must be complete.
"""

import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ..cluster import Cluster, create_database, drop_database, find_binaries, own_cluster
from ..conftest import POSTGRESQL_URL
from ..servers import Server
from .recording import PATIENCE, Recorder

ENVIRONMENT = {"POST3_MIN_PART_SIZE": "1", "POST3_GARBAGE_GRACE_SECONDS": "60"}
BACKUP_SQLITE = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).backup(sqlite3.connect(sys.argv[2]))"


@pytest.fixture
def restored(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Return a function that starts a server on restored data, with the keys and secret of the original."""
    started: list[Server] = []

    def start(backed_up: Server, **environment: str) -> Server:
        server = Server(tmp_path, {**ENVIRONMENT, **environment})
        server.access_key, server.secret_key = backed_up.access_key, backed_up.secret_key
        server.run()
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()


def run(*command: str | Path, allowed: tuple[int, ...] = (0,)) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode in allowed, done.stderr


def postgresql(program: str, *arguments: str | Path) -> None:
    binaries = find_binaries()
    assert binaries is not None
    run(binaries / program, *arguments)


@pytest.fixture
def fresh_database() -> Iterator[str]:
    url = create_database(POSTGRESQL_URL)
    yield url
    drop_database(POSTGRESQL_URL, url)


def test_dump_of_catalogue_and_blocks(
    make_server: Callable[..., Server], restored: Callable[..., Server], fresh_database: str, tmp_path: Path
) -> None:
    server = make_server("postgresql-blocks", environment=ENVIRONMENT)
    with Recorder(server.client()) as recorder:
        recorder.wait_for_writes(20)
        since = time.time()
        postgresql("pg_dump", "-Fc", "-f", tmp_path / "dump", server.environment["DATABASE_URL"])
        until = time.time()
        recorder.wait_for_writes(10)
    server.stop()
    postgresql("pg_restore", "--no-owner", "-d", fresh_database, tmp_path / "dump")
    copy = restored(server, DATABASE_URL=fresh_database)
    assert recorder.check(copy.client(), since, until) > 3


@pytest.mark.parametrize("kind", ["sqlite-files", "postgresql-files"])
def test_catalogue_first_then_files(
    make_server: Callable[..., Server], restored: Callable[..., Server], fresh_database: str, tmp_path: Path, kind: str
) -> None:
    server = make_server(kind, environment={**ENVIRONMENT, "POST3_STORAGE": "filesystem"})
    data = server.data_dir / "var"
    target = tmp_path / "var"
    (target / "objects").mkdir(parents=True)
    with Recorder(server.client()) as recorder:
        recorder.wait_for_writes(20)
        since = time.time()
        if kind == "sqlite-files":
            run(sys.executable, "-c", BACKUP_SQLITE, data / "catalogue.sqlite3", target / "catalogue.sqlite3")
        else:
            postgresql("pg_dump", "-Fc", "-f", tmp_path / "dump", server.environment["DATABASE_URL"])
        until = time.time()
        recorder.wait_for_writes(10)  # overwrites and deletes objects that the catalogue's copy names ...
        server.manage("collect_garbage")  # ... whose bytes the grace period keeps
        # Status 1: a file vanished while it was read.
        run("tar", "-C", data / "objects", "--exclude=./.tmp", "-cf", tmp_path / "files.tar", ".", allowed=(0, 1))
        recorder.wait_for_writes(10)
    server.stop()
    shutil.rmtree(data)
    run("tar", "-C", target / "objects", "-xf", tmp_path / "files.tar")
    environment = {"POST3_STORAGE": "filesystem"}
    if kind != "sqlite-files":
        postgresql("pg_restore", "--no-owner", "-d", fresh_database, tmp_path / "dump")
        environment["DATABASE_URL"] = fresh_database
    copy = restored(server, **environment)
    assert recorder.check(copy.client(), since, until) > 3


class Recovered(Cluster):
    """A cluster created from a base backup and an archived log, recovered to a moment."""

    def __init__(self, origin: Cluster, base: Path, archive: Path, moment: datetime) -> None:
        self._binaries, self._as_owner, self.owner = origin._binaries, origin._as_owner, origin.owner
        self.directory, self._data = base.parent, base
        (base / "recovery.signal").touch()
        shutil.chown(base / "recovery.signal", self.owner)
        with open(base / "postgresql.conf", "a") as file:
            file.write(f"unix_socket_directories = '{self.directory}'\narchive_mode = 'off'\n")
            file.write(f"restore_command = 'cp {archive}/%f %p'\n")
            file.write(f"recovery_target_time = '{moment.isoformat()}'\nrecovery_target_action = 'promote'\n")
        self.url = origin.url.replace(str(origin.directory).replace("/", "%2F"), str(self.directory).replace("/", "%2F"))


@pytest.fixture
def archiving_cluster() -> Iterator[tuple[Cluster, Path]]:
    """Yield a cluster that archives its log, and the archive's directory."""
    with own_cluster({"archive_mode": "on"}) as cluster:
        archive = cluster.directory / "archive"
        archive.mkdir()
        shutil.chown(archive, cluster.owner)
        with psycopg.connect(cluster.url, autocommit=True) as connection:
            connection.execute(f"ALTER SYSTEM SET archive_command = 'cp %p {archive}/%f'")
            connection.execute("SELECT pg_reload_conf()")
        yield cluster, archive


def test_recovery_to_a_moment(
    archiving_cluster: tuple[Cluster, Path], restored: Callable[..., Server], tmp_path_factory: pytest.TempPathFactory
) -> None:
    cluster, archive = archiving_cluster
    url = create_database(cluster.url)
    server = Server(tmp_path_factory.mktemp("archived"), {**ENVIRONMENT, "DATABASE_URL": url})
    server.start()
    try:
        with Recorder(server.client()) as recorder:
            recorder.wait_for_writes(5)
            base = cluster.directory / "recovered" / "base"
            base.parent.mkdir(mode=0o755)
            shutil.chown(base.parent, cluster.owner)
            run(
                *(*cluster._as_owner, str(cluster._binaries / "pg_basebackup"), "-d", cluster.url),
                *("-D", str(base), "-c", "fast", "-X", "none"),
            )
            recorder.wait_for_writes(20)
            moment = datetime.now(UTC)
            recorder.wait_for_writes(10)
    finally:
        server.stop()
    wait_for_archive(cluster.url)
    cluster.stop()
    recovered = Recovered(cluster, base, archive, moment)
    recovered.start()
    try:
        wait_until_promoted(recovered.url)
        copy = restored(server, DATABASE_URL=url.replace(cluster.url.rsplit("/", 1)[0], recovered.url.rsplit("/", 1)[0]))
        # Everything acknowledged before the moment is there, and nothing that started after it.
        assert recorder.check(copy.client(), moment.timestamp(), moment.timestamp()) > 3
        copy.stop()
    finally:
        recovered.stop()


def wait_for_archive(url: str) -> None:
    """Wait until all of the log written so far is archived."""
    with psycopg.connect(url, autocommit=True) as connection:
        wanted = answer(connection, "SELECT pg_walfile_name(pg_switch_wal())")
        deadline = time.monotonic() + PATIENCE
        while (answer(connection, "SELECT last_archived_wal FROM pg_stat_archiver") or "") < wanted:
            assert time.monotonic() < deadline, answer(connection, "SELECT last_failed_wal FROM pg_stat_archiver")
            time.sleep(0.05)


def wait_until_promoted(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        deadline = time.monotonic() + PATIENCE
        while answer(connection, "SELECT pg_is_in_recovery()"):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def answer(connection: psycopg.Connection[Any], statement: str) -> Any:
    row = connection.execute(statement).fetchone()
    assert row is not None
    return row[0]
