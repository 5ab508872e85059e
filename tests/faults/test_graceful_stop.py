"""Stopping a server: running requests may finish, slow ones leave nothing behind. A rolling restart goes unnoticed."""

import os
import signal
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

import pytest

from tests.helpers import random_bytes, read
from tests.raw import RawClient, connect, read_response
from tests.servers import ROOT, Server

KIB, MIB = 1 << 10, 1 << 20
BUCKET = "stop"
LIVE = b"GET /_/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
LARGE = random_bytes(16 * MIB)


def begin_put(server: Server, key: str, length: int) -> socket.socket:
    raw = RawClient(server.host, server.port, server.access_key, server.secret_key)
    sizes = [("Content-Length", str(length))]
    connection = connect(server, timeout=30)
    connection.sendall(raw.sign("PUT", f"/{BUCKET}/{key}", payload_hash="UNSIGNED-PAYLOAD", unsigned_headers=sizes).head())
    return connection


def begin_get(server: Server, key: str) -> socket.socket:
    """Request an object and wait for its first byte. The server has to wait for the rest to be read."""
    raw = RawClient(server.host, server.port, server.access_key, server.secret_key)
    connection = connect(server, timeout=30, receive_buffer=64 * KIB)
    connection.sendall(raw.sign("GET", f"/{BUCKET}/{key}").head())
    connection.recv(1, socket.MSG_PEEK)
    return connection


@pytest.mark.parametrize("runner", ["gunicorn-asgi", "uvicorn"])
def test_stop_lets_running_requests_finish(make_server: Callable[..., Server], runner: str) -> None:
    server = make_server("sqlite-files", runner=runner)
    s3 = server.client()
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="large", Body=LARGE)
    with begin_put(server, "new", len(LARGE)) as upload, begin_get(server, "large") as download, connect(server) as idle:
        idle.sendall(LIVE)
        assert read_response(idle).status == 200
        upload.sendall(LARGE[: 5 * MIB])
        os.kill(server.pid, signal.SIGTERM)
        assert idle.recv(100) == b""
        wait_for(lambda: not takes_connections(server))  # each process notices within a tenth of a second
        upload.sendall(LARGE[5 * MIB :])
        assert read_response(upload, "PUT").status == 200
        assert read_response(download).body == LARGE
    assert server.wait() in (0, -signal.SIGTERM)  # uvicorn ends by the signal that it was sent
    server.run()
    assert read(server.client(), BUCKET, "new") == LARGE
    server.stop()


def test_stop_interrupts_slow_requests_and_leaves_nothing(make_server: Callable[..., Server]) -> None:
    server = make_server("sqlite-files", runner="gunicorn-asgi", environment={"GUNICORN_CMD_ARGS": "--graceful-timeout 5"})
    server.client().create_bucket(Bucket=BUCKET)
    server.client().put_object(Bucket=BUCKET, Key="large", Body=LARGE)
    with begin_put(server, "new", len(LARGE)) as upload, begin_get(server, "large") as download:
        upload.sendall(LARGE[: 5 * MIB])
        time.sleep(1)
        began = time.monotonic()
        os.kill(server.pid, signal.SIGTERM)
        assert server.wait() == 0
        assert 1.5 < time.monotonic() - began < 10
        with pytest.raises(ConnectionError):
            read_response(download)
    assert "SIGKILL" not in server.log() and "Traceback" not in server.log()
    var = Path(server.environment["POST3_DATA_DIR"])
    with closing(sqlite3.connect(var / "catalogue.sqlite3")) as catalogue:
        assert catalogue.execute("SELECT count(*) FROM post3_blob WHERE state = 0").fetchone() == (0,)
        assert catalogue.execute("SELECT key FROM post3_object").fetchall() == [("large",)]
    assert not list((var / "objects" / ".tmp").iterdir())


def takes_connections(server: Server) -> bool:
    """Return whether any process accepts a new connection and responds on it."""
    with suppress(OSError), connect(server) as late:
        late.sendall(LIVE)
        return read_response(late).status == 200
    return False


def children(pid: int) -> set[int]:
    with suppress(FileNotFoundError):
        return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}
    return set()


def all_new(pid: int, before: set[int]) -> bool:
    now = children(pid)
    return len(now) == len(before) and not now & before


@pytest.fixture
def served(make_server: Callable[..., Server]) -> Iterator[Server]:
    # gunicorn started with `python -m` starts its successor by the path of its __main__.py, whose directory then hides
    # the standard library's `http`. Started by its script, as is usual, it needs none of this.
    path = {"PYTHONSAFEPATH": "1", "PYTHONPATH": str(ROOT)}
    server = make_server("sqlite-files", runner="gunicorn-asgi", environment=path)
    server.client().create_bucket(Bucket=BUCKET)
    yield server
    with suppress(ProcessLookupError):  # all its successors are in its process group
        os.killpg(server.pid, signal.SIGKILL)


def test_rolling_restart_under_load_goes_unnoticed(served: Server) -> None:
    stopped, counts, errors = threading.Event(), [0] * 4, []

    def work(number: int) -> None:
        s3 = served.client(retries={})  # botocore's default retries
        try:
            while not stopped.is_set():
                key, body = f"{number}/{counts[number]}", os.urandom(3000 if counts[number] % 3 else 2 * MIB)
                s3.put_object(Bucket=BUCKET, Key=key, Body=body)
                assert read(s3, BUCKET, key) == body
                counts[number] += 1
        except Exception as error:
            errors.append(error)

    with ThreadPoolExecutor(4) as threads:
        for number in range(4):
            threads.submit(work, number)
        try:
            for _ in range(2):  # HUP: new workers under the same master
                before = children(served.pid)
                go_on(counts, errors)
                os.kill(served.pid, signal.SIGHUP)
                wait_for(partial(all_new, served.pid, before))
            before = children(served.pid)
            os.kill(served.pid, signal.SIGUSR2)  # a new master on the same socket
            wait_for(lambda: any(len(children(child)) == len(before) for child in children(served.pid) - before))
            go_on(counts, errors)
            (successor,) = children(served.pid) - before
            os.kill(served.pid, signal.SIGTERM)
            assert served.wait() == 0
            go_on(counts, errors)
            assert Path(f"/proc/{successor}").exists()
        finally:
            stopped.set()
    assert not errors
    assert min(counts) > 0


def go_on(counts: list[int], errors: list[Exception]) -> None:
    """Wait until every client has made progress."""
    before = list(counts)
    wait_for(lambda: errors or all(now >= then + 3 for now, then in zip(counts, before, strict=True)))


def wait_for(condition: Callable[[], object], seconds: float = 40) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(0.05)
