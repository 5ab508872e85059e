"""Every S3 operation, the worker and the storage check on each version of PostgreSQL that post3 supports."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ..cluster import create_database, drop_database, own_cluster
from ..conftest import POSTGRESQL_URL
from ..servers import Server
from .postgresql import VERSIONS, binaries
from .smoke import check_the_store, every_operation, use_every_operation


def version_of(url: str) -> str:
    """Return the major version of the PostgreSQL at a URL, such as `17`."""
    with psycopg.connect(url) as connection:
        return str(connection.info.server_version // 10000)


@contextlib.contextmanager
def postgresql(version: str) -> Iterator[str]:
    """Yield the URL of a PostgreSQL of that version: the tests' shared server if it matches, otherwise a new one."""
    if POSTGRESQL_URL and version_of(POSTGRESQL_URL) == version:
        yield POSTGRESQL_URL
        return
    with own_cluster(binaries=binaries(version)) as cluster:
        yield cluster.url


@pytest.fixture(params=VERSIONS)
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Server]:
    """A server as `serve` starts it, on a fresh catalogue in a PostgreSQL of that version."""
    with postgresql(request.param) as url:
        assert version_of(url) == request.param
        database = create_database(url)
        server = Server(tmp_path, {"DATABASE_URL": database})
        try:
            server.start()
            yield server
        finally:
            server.stop()
            drop_database(url, database)


def test_every_operation_on_postgresql(server: Server) -> None:
    assert use_every_operation(server.client(), "smoke") == every_operation()
    check_the_store(server)
