"""Fixtures for all tests: Django on a database of the tests' own, and real servers.

Tests use `catalogue` (the migrated database, emptied after the test), `server`, `s3`, `bucket` and `raw` (a server of
each kind, a boto3 client, a bucket on it, and requests byte by byte), and `make_server` for a server with other
settings.
"""

import atexit
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from .cluster import create_database, drop_database
from .helpers import path_of
from .prepared import prepared_catalogues
from .raw import RawClient
from .servers import Server

POSTGRESQL_URL = os.environ.get("POST3_TEST_POSTGRESQL_URL", "")


def _configure_django() -> None:
    """Set Django up on a fresh database, before any test module imports a model."""
    data_dir = tempfile.mkdtemp(prefix="post3-test-")
    atexit.register(shutil.rmtree, data_dir, ignore_errors=True)
    for name in list(os.environ):
        if name.startswith("POST3_") and not name.startswith("POST3_TEST_"):
            del os.environ[name]
    url = os.environ.get("DATABASE_URL", "")
    if url:
        # The named database may hold data, so make another one beside it.
        fresh = create_database(url)
        atexit.register(drop_database, url, fresh)
        os.environ["DATABASE_URL"] = fresh
    os.environ["POST3_DATA_DIR"] = data_dir
    os.environ["POST3_SECRET_KEY"] = uuid.uuid4().hex * 2
    os.environ["DJANGO_SETTINGS_MODULE"] = "post3_site.settings"
    import django

    django.setup()


_configure_django()


@pytest.fixture(scope="session")
def _migrated() -> None:
    from django.core.management import call_command

    call_command("migrate", interactive=False, verbosity=0)


@pytest.fixture
def catalogue(_migrated: None) -> Iterator[Any]:
    """The database connection, with all tables empty. The test has no transaction, so that threads see its writes."""
    from django.db import connection, connections

    yield connection
    if connection.in_atomic_block:
        connection.close()
    empty(connection)
    connections.close_all()


@pytest.fixture
def postgresql(catalogue: Any) -> Any:
    """`catalogue`, for features of PostgreSQL."""
    if catalogue.vendor != "postgresql":
        pytest.skip("only on PostgreSQL")
    return catalogue


#: Tables with more bytes are truncated. In smaller ones it is many times faster to delete the rows, because TRUNCATE
#: creates new files for the table and its indexes.
LARGE = 1 << 20


def empty(connection: Any) -> None:
    from django.contrib.auth import get_user_model
    from django.db import transaction

    tables = [name for name in connection.introspection.table_names() if name.startswith("post3_")]
    tables += ["django_admin_log", get_user_model()._meta.db_table]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SELECT relname FROM pg_class WHERE relname = ANY(%s) AND pg_table_size(oid) > %s", [tables, LARGE])
            if large := [name for (name,) in cursor.fetchall()]:
                cursor.execute(f"TRUNCATE {', '.join(large)} CASCADE")
            with transaction.atomic():
                cursor.execute("SET LOCAL session_replication_role = replica")  # no triggers, no foreign keys
                deletions = ", ".join(f"d{number} AS (DELETE FROM {name})" for number, name in enumerate(tables))
                cursor.execute(f"WITH {deletions} SELECT 1")
            return
        cursor.execute("PRAGMA foreign_keys = OFF")
        with transaction.atomic():
            for table in tables:
                cursor.execute(f'DELETE FROM "{table}"')
        cursor.execute("PRAGMA foreign_keys = ON")


@pytest.fixture(scope="session")
def make_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """Start a server: `make_server("sqlite-files")` or `"postgresql-blocks"`, with Server's other arguments."""
    made: list[tuple[Server, str]] = []
    with prepared_catalogues(POSTGRESQL_URL) as prepared:

        def make(kind: str, **arguments: Any) -> Server:
            if kind.startswith("postgresql") and not POSTGRESQL_URL:
                pytest.fail("needs PostgreSQL: run `python -m tests`, which starts one", pytrace=False)
            environment = dict(arguments.pop("environment", {}))
            server, url = prepared.make(kind, tmp_path_factory.mktemp(kind), environment, **arguments)
            made.append((server, url))
            server.run()
            return server

        make.made = made  # for the report of a failure
        yield make
        for server, url in made:
            server.stop()
            if url:
                drop_database(POSTGRESQL_URL, url)


#: Django's own hasher takes half a second for each login.
QUICK_PASSWORDS = {"DJANGO_SETTINGS_MODULE": "tests.quick_passwords"}


@pytest.fixture(scope="session")
def _usual_servers() -> dict[str, Server]:
    return {}


@pytest.fixture(scope="session", params=["sqlite-files", "postgresql-blocks"])
def server(request: pytest.FixtureRequest, make_server: Callable[..., Server], _usual_servers: dict[str, Server]) -> Server:
    """A server of each kind, started once for all tests, whatever their order."""
    if request.param not in _usual_servers:
        _usual_servers[request.param] = make_server(request.param, environment=QUICK_PASSWORDS)
    return _usual_servers[request.param]


@pytest.fixture(scope="session")
def s3(server: Server) -> Any:
    """A boto3 client of that server."""
    return server.client()


@pytest.fixture
def raw(server: Server) -> RawClient:
    """Requests to that server, byte by byte."""
    return RawClient(server.host, server.port, server.access_key, server.secret_key)


@pytest.fixture
def bucket(server: Server, s3: Any) -> Iterator[str]:
    """The name of a fresh bucket, emptied and deleted afterwards."""
    # It takes half the processor time of boto3. Not the fixture `raw`, whose key tests change.
    raw = RawClient(server.host, server.port, server.access_key, server.secret_key)
    name = f"test-{uuid.uuid4().hex[:16]}"
    assert _status(raw, "PUT", f"/{name}") == 200
    yield name
    status = _status(raw, "DELETE", f"/{name}")
    assert status in (204, 409), status
    if status == 409:
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=name):
            keys = [entry["Key"] for entry in page["Contents"]]
            if len(keys) > MANY_KEYS:
                s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": key} for key in keys], "Quiet": True})
            else:
                assert {_status(raw, "DELETE", path_of(name, key)) for key in keys} == {204}
        assert _status(raw, "DELETE", f"/{name}") == 204


def _status(raw: RawClient, method: str, path: str) -> int:
    response = raw.send(method, path)
    assert response is not None
    return response.status


#: Keys of a page beyond which one request deletes them all.
MANY_KEYS = 5


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Show what the server logged during a test that failed."""
    server = getattr(item, "funcargs", {}).get("server") or _made_by(item)
    if call.when == "setup" and server is not None:
        item.stash[LOG_START] = len(server.log())
    outcome: Any = yield
    report = outcome.get_result()
    if report.failed and server is not None:
        start = item.stash.get(LOG_START, 0) if "server" in item.funcargs else 0
        report.sections.append(("the server's log", server.log()[start:][-20_000:]))


def _made_by(item: pytest.Item) -> Server | None:
    """Return the server that a test started last for itself."""
    made = getattr(getattr(item, "funcargs", {}).get("make_server"), "made", [])
    return made[-1][0] if made else None


LOG_START = pytest.StashKey[int]()
