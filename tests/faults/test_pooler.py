"""A pooler that gives every transaction another connection and does not support prepared statements."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from botocore.exceptions import ClientError

from tests.cluster import create_database, own_cluster
from tests.helpers import read, refusal
from tests.programs import ensure_program
from tests.servers import ROOT, Server, free_port

MIB = 1 << 20
BUCKET = "pooled"
CONFIGURATION = """
[databases]
* = host=127.0.0.1 port={server_port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {directory}/users
pool_mode = transaction
default_pool_size = 3
ignore_startup_parameters = extra_float_digits
logfile = {directory}/log
"""


@pytest.fixture(scope="module")
def pooled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Yield the URL of a new database, through a pooler with three connections."""
    program = ensure_program("pgbouncer", "pgbouncer")
    with own_cluster(port=free_port()) as cluster:
        directory, port = cluster.directory / "pooler", free_port()
        directory.mkdir()
        (directory / "users").write_text('"post3" ""\n')
        server_port = urlsplit(cluster.url).port
        (directory / "ini").write_text(CONFIGURATION.format(server_port=server_port, port=port, directory=directory))
        for path in (directory, *directory.iterdir()):
            os.chown(path, cluster.directory.stat().st_uid, -1)
        as_owner = ["runuser", "-u", cluster.owner, "--"] if os.geteuid() == 0 else []
        pooler = subprocess.Popen([*as_owner, program, "-q", str(directory / "ini")], cwd="/")
        try:
            name = urlsplit(create_database(cluster.url)).path
            url = f"postgresql://post3@127.0.0.1:{port}{name}"
            wait_for(url)
            yield url
        finally:
            pooler.terminate()
            pooler.wait(10)


def wait_for(url: str) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            psycopg.connect(url).close()
            return
        except psycopg.OperationalError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


@pytest.fixture(scope="module")
def served(pooled: str, make_server: Callable[..., Server]) -> Server:
    environment = {"DATABASE_URL": pooled, "POST3_GARBAGE_GRACE_SECONDS": "0"}
    return make_server("pooled", runner="gunicorn-asgi", environment=environment)


def use(s3: Any, number: int) -> None:
    """Perform all kinds of operations on this client's own keys, and check every response."""
    for turn in range(12):
        key, body = f"{number:02}/{turn}", f"{number} {turn} ".encode() * (10 if turn % 4 else 300_000)
        s3.put_object(Bucket=BUCKET, Key=key, Body=body, Metadata={"number": str(number)})
        assert read(s3, BUCKET, key) == body
        assert s3.head_object(Bucket=BUCKET, Key=key)["Metadata"] == {"number": str(number)}
        with pytest.raises(ClientError, match="PreconditionFailed"):
            s3.put_object(Bucket=BUCKET, Key=key, Body=b"other", IfNoneMatch="*")
        etag = s3.copy_object(Bucket=BUCKET, Key=f"{key}/copy", CopySource=f"{BUCKET}/{key}")["CopyObjectResult"]["ETag"]
        s3.put_object(Bucket=BUCKET, Key=f"{key}/copy", Body=b"over", IfMatch=etag)
        listed = s3.list_objects_v2(Bucket=BUCKET, Prefix=f"{number:02}/", Delimiter="/")
        assert {entry["Key"] for entry in listed["Contents"]} == {f"{number:02}/{done}" for done in range(turn + 1)}
        assert len(listed["CommonPrefixes"]) == turn + 1
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key=f"{number:02}/parts")["UploadId"]
    whole = {"Bucket": BUCKET, "Key": f"{number:02}/parts", "UploadId": upload}
    etag = s3.upload_part(**whole, PartNumber=1, Body=bytes([number]) * MIB)["ETag"]
    s3.complete_multipart_upload(**whole, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
    assert read(s3, BUCKET, f"{number:02}/parts") == bytes([number]) * MIB
    s3.delete_object(Bucket=BUCKET, Key=f"{number:02}/0")
    assert refusal(s3.get_object, Bucket=BUCKET, Key=f"{number:02}/0").code == "NoSuchKey"


def test_statements_behind_a_pooler_are_never_mixed_up(served: Server, tmp_path: Path) -> None:
    s3 = served.client(max_pool_connections=12)
    s3.create_bucket(Bucket=BUCKET)
    logged, log = len(served.log()), tmp_path / "worker.log"
    with open(log, "wb") as file:  # overwritten blobs become garbage
        command = [sys.executable, "manage.py", "run_worker", "--interval", "0.2"]
        worker = subprocess.Popen(command, cwd=ROOT, env=served.environment, stdout=file, stderr=file)
    try:
        with ThreadPoolExecutor(12) as threads:
            list(threads.map(lambda number: use(s3, number), range(12)))
    finally:
        worker.terminate()
        assert worker.wait(30) == 0
    assert "ERROR" not in served.log()[logged:] and "Traceback" not in served.log()[logged:]
    assert "Traceback" not in log.read_text() and "ERROR" not in log.read_text()
    assert "blobs collected" in log.read_text()
    assert served.manage("check_storage", "--verify")


def test_default_that_cannot_be_set_behind_a_pooler_is_refused(pooled: str, tmp_path: Path) -> None:
    with psycopg.connect(pooled, autocommit=True) as connection:
        connection.execute("CREATE DATABASE strict")
        connection.execute("ALTER DATABASE strict SET default_transaction_isolation = 'serializable'")
    server = Server(tmp_path, {"DATABASE_URL": f"{pooled.rpartition('/')[0]}/strict"})
    command = [sys.executable, "manage.py", "migrate"]
    done = subprocess.run(command, cwd=ROOT, env=server.environment, capture_output=True, text=True, timeout=60)
    assert done.returncode != 0
    assert "default_transaction_isolation is 'serializable'" in done.stderr and "Behind a pooler" in done.stderr
    assert "Traceback" not in done.stderr
