"""If the database cannot hold the catalogue, every start fails with one error. Harmful defaults are overridden."""

import os
import sqlite3
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from botocore.exceptions import ClientError

from tests import starting
from tests.cluster import create_database, drop_database
from tests.conftest import POSTGRESQL_URL
from tests.helpers import keys_of, read
from tests.servers import RUNNERS, Server, free_port

WAYS = {
    "uvicorn": ["-m", *RUNNERS["uvicorn-plain"].split()],
    "gunicorn-asgi": ["-m", *RUNNERS["gunicorn-asgi"].split()],
    **{name: ["manage.py", name] for name in ("serve", "migrate", "run_worker", "list_api_keys", "check_storage")},
}


@pytest.fixture
def database(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a new database, in UTF-8 or as requested by an `indirect` parameter."""
    url = create_database(POSTGRESQL_URL, getattr(request, "param", ""))
    yield url
    drop_database(POSTGRESQL_URL, url)


def start(way: str, directory: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Start a program, which must end by itself if it cannot start."""
    port = free_port()
    inherited = {name: value for name, value in os.environ.items() if name != "DATABASE_URL" and not name.startswith("POST3_")}
    settings = {"POST3_DATA_DIR": str(directory / "var"), "POST3_HOST": f"127.0.0.1:{port}", "POST3_SECRET_KEY": "k" * 50}
    arguments = [part.format(host="127.0.0.1", port=port) for part in WAYS[way]]
    return starting.run(*arguments, environment={**inherited, **settings, **environment}, timeout=60)


def assert_refused(done: subprocess.CompletedProcess[str], sentence: str) -> None:
    said = done.stdout + done.stderr
    assert done.returncode != 0, said
    assert sentence in " ".join(said.split()), said
    assert "Traceback" not in said, said


@pytest.mark.parametrize("database", ["ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"], indirect=True)
@pytest.mark.parametrize("way", WAYS)
def test_database_of_another_encoding_is_refused_by(way: str, database: str, tmp_path: Path) -> None:
    assert_refused(start(way, tmp_path, DATABASE_URL=database), "The database's encoding is LATIN1")


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "EUC_JP", "WIN1252"])
def test_database_of_other_encodings_is_refused(encoding: str, tmp_path: Path) -> None:
    url = create_database(POSTGRESQL_URL, f"ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")
    try:
        assert_refused(start("uvicorn", tmp_path, DATABASE_URL=url), f"encoding is {encoding}")
    finally:
        drop_database(POSTGRESQL_URL, url)


@pytest.mark.parametrize("way", WAYS)
def test_catalogue_of_sqlite_in_utf16_is_refused_by(way: str, tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite3"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA encoding = 'UTF-16le'")
        connection.execute("CREATE TABLE a (b TEXT)")
    assert_refused(start(way, tmp_path, DATABASE_URL=f"sqlite:///{path}"), "The catalogue's encoding is UTF-16le")


@pytest.mark.parametrize("way", ["uvicorn", "gunicorn-asgi", "serve", "migrate", "run_worker"])
def test_file_that_is_no_database_is_refused_by(way: str, tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite3"
    path.write_bytes(b"This is a letter, and no database at all. " * 100)
    assert_refused(start(way, tmp_path, DATABASE_URL=f"sqlite:///{path}"), "file is not a database")
    assert path.read_bytes().startswith(b"This is a letter")


@pytest.mark.parametrize("way", ["uvicorn", "gunicorn-asgi", "serve"])
def test_catalogue_on_a_read_only_disk_is_refused_by(way: str, tmp_path: Path) -> None:
    disk, path = tmp_path / "disk", tmp_path / "disk" / "catalogue.sqlite3"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(disk)], check=True)
    try:
        start("migrate", tmp_path, DATABASE_URL=f"sqlite:///{path}")
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        assert_refused(start(way, tmp_path, DATABASE_URL=f"sqlite:///{path}"), f"The catalogue {path} cannot be")
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


HARMFUL = {
    "default_transaction_isolation": "serializable",
    "synchronous_commit": "off",
    "DateStyle": "German",
    "standard_conforming_strings": "off",
    "session_replication_role": "replica",
    # Long enough that the first statement, which reads the settings, never reaches it on a busy machine.
    "statement_timeout": "200ms",
    "lock_timeout": "200ms",
    "idle_in_transaction_session_timeout": "200ms",
}


@pytest.mark.parametrize(
    "settings",
    [
        {"default_transaction_isolation": "serializable"},
        {"default_transaction_isolation": "repeatable read"},
        HARMFUL,
        {"search_path": "apart, public"},
        {"bytea_output": "escape", "IntervalStyle": "sql_standard", "TimeZone": "Asia/Tokyo", "client_encoding": "LATIN1"},
        {
            "default_transaction_deferrable": "on",
            "row_security": "off",
            "enable_indexscan": "off",
            "plan_cache_mode": "force_custom_plan",
            "jit": "off",  # without index scans, costs are so high that PostgreSQL would compile every statement
        },
    ],
    ids=lambda settings: ",".join(list(settings)[:2]) + str(len(settings)),
)
@pytest.mark.parametrize("whose", ["database", "role"])
def test_server_works_whatever_the_defaults_are(database: str, tmp_path: Path, settings: dict[str, str], whose: str) -> None:
    name, role = urlsplit(database).path[1:], f"role_{urlsplit(database).path[1:]}"
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA apart")
        connection.execute(f"CREATE ROLE {role} LOGIN SUPERUSER")
        for setting, value in settings.items():
            value = value if setting == "search_path" else f"'{value}'"
            connection.execute(f"ALTER {whose} {name if whose == 'database' else role} SET {setting} = {value}")
    server = Server(tmp_path, {"DATABASE_URL": database.replace("post3@", f"{role}@")})
    try:
        server.start()
        use(server)
    finally:
        server.stop()
        with psycopg.connect(POSTGRESQL_URL, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
            connection.execute(f"DROP ROLE {role}")
    assert "Traceback" not in server.log()


def use(server: Server) -> None:
    """Write, read, copy and delete from many threads, and use every other kind of request."""
    s3 = server.client(max_pool_connections=24)
    s3.create_bucket(Bucket="used")
    failed: Counter[str] = Counter()

    def work(number: int) -> None:
        try:
            s3.put_object(Bucket="used", Key=f"shared{number % 2}", Body=os.urandom(100))
            read(s3, "used", f"shared{number % 2}")
            s3.list_objects_v2(Bucket="used")
            s3.put_object(Bucket="used", Key=f"own{number}", Body=b"x", Metadata={"a": "back\\slash"})
            s3.copy_object(Bucket="used", Key=f"shared{number % 2}", CopySource=f"used/own{number}")
            s3.delete_object(Bucket="used", Key=f"own{number}")
        except ClientError as error:
            failed[error.response["Error"]["Code"]] += 1

    with ThreadPoolExecutor(24) as threads:
        list(threads.map(work, range(150)))
    assert not failed
    assert keys_of(s3, "used") == ["shared0", "shared1"]
    upload = {"Bucket": "used", "Key": "日本", "UploadId": s3.create_multipart_upload(Bucket="used", Key="日本")["UploadId"]}
    etag = s3.upload_part(**upload, PartNumber=1, Body=b"x" * 2_000_000)["ETag"]
    assert s3.list_parts(**upload)["Parts"][0]["Size"] == 2_000_000
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    assert read(s3, "used", "日本") == b"x" * 2_000_000
    assert server.manage("collect_garbage") and server.manage("list_api_keys")
