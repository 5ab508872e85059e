"""Each way of serving enforces the limits on requests, or refuses to start and names one that does."""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .. import starting
from ..helpers import refusal_of
from ..raw import RawClient, connect, read_response
from ..servers import ROOT, Server, free_port

MIB = 1 << 20
LIVE = b"GET /_/health/live HTTP/1.1\r\nHost: localhost\r\n"
RIGHT = "gunicorn -c python:post3_site.gunicorn -k post3_site.worker.Worker post3_site.asgi:application"
CLASS = "-k post3_site.worker.Worker"


def environment_in(directory: Path) -> dict[str, str]:
    """Create a store in a directory. Return the environment of its server."""
    kept = {name: value for name, value in os.environ.items() if name != "DATABASE_URL" and not name.startswith("POST3_")}
    own = {"POST3_DATA_DIR": f"{directory}/var", "POST3_SECRET_KEY": "s" * 50, "PYTHONUNBUFFERED": "1"}
    environment = {**kept, **own, "POST3_HOST": f"127.0.0.1:{free_port()}"}
    starting.run("manage.py", "migrate", "--no-input", "-v", "0", environment=environment).check_returncode()
    return environment


def run(directory: Path, command: str) -> tuple[int, str]:
    """Run a server that must end by itself. Return its exit status and output."""
    environment = environment_in(directory)
    done = subprocess.run(
        [sys.executable, "-m", *command.split()], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stdout + done.stderr


REFUSED = {
    "gunicorn -c python:post3_site.gunicorn post3_site.wsgi": RIGHT,
    "gunicorn --bind 127.0.0.1:0 post3_site.wsgi": RIGHT,
    "gunicorn -c python:post3_site.gunicorn -k sync post3_site.wsgi": CLASS,
    "gunicorn -c python:post3_site.gunicorn -k gthread --threads 8 post3_site.asgi:application": CLASS,
    "gunicorn -c python:post3_site.gunicorn -k sync --threads 4 post3_site.asgi:application": CLASS,
    "gunicorn -c python:post3_site.gunicorn -k uvicorn_worker.UvicornWorker post3_site.asgi:application": CLASS,
}


@pytest.mark.parametrize("command", REFUSED)
def test_what_keeps_no_limits_does_not_start(tmp_path: Path, command: str) -> None:
    status, said = run(tmp_path, command)
    assert status == 3, said
    assert "post3 does not start" in said and REFUSED[command] in said
    assert "Traceback" not in said


def test_uvicorn_without_lifespan_serves_nothing(tmp_path: Path) -> None:
    port = free_port()
    command = f"uvicorn --port {port} --lifespan off post3_site.asgi:application"
    with open(tmp_path / "log", "wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", *command.split()], cwd=ROOT, env=environment_in(tmp_path), stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + 30
        while True:
            assert time.monotonic() < deadline
            with contextlib.suppress(ConnectionError), socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(LIVE + b"\r\n")
                assert connection.recv(100).startswith(b"HTTP/1.1 500 ")
                break
            time.sleep(0.1)
    finally:
        process.terminate()
        process.wait()
    assert "without `--lifespan off`" in (tmp_path / "log").read_text()


@pytest.fixture(scope="module", params=["uvicorn-plain", "uvicorn-h11", "gunicorn-plain-config"])
def served(request: pytest.FixtureRequest, make_server: Callable[..., Server]) -> Iterator[Server]:
    """A server started without naming the protocol."""
    limits = {"POST3_HEAD_TIMEOUT": "1.5", "POST3_BODY_TIMEOUT": "2", "POST3_SEND_TIMEOUT": "2"}
    server = make_server("sqlite-files", runner=request.param, environment=limits)
    server.client().create_bucket(Bucket="limits")
    server.client().put_object(Bucket="limits", Key="large", Body=bytes(24 * MIB))
    yield server
    server.stop()


@pytest.fixture
def wire(served: Server) -> RawClient:
    return RawClient(served.host, served.port, served.access_key, served.secret_key)


def test_silent_and_slow_heads_are_given_up(wire: RawClient) -> None:
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(connect(wire)) for _ in range(60)]
        for connection in silent[::2]:
            connection.sendall(LIVE)
        assert wire.send("GET", "/limits").status == 200
        for number, connection in enumerate(silent):
            if number % 2:
                assert connection.recv(1) == b""
            else:
                assert refusal_of(read_response(connection)).code == "RequestTimeout"


def test_large_heads_are_refused(wire: RawClient) -> None:
    with connect(wire) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(LIVE + b"x-a: " + b"a" * 40_000)
        assert refusal_of(read_response(connection)).code == "RequestHeaderSectionTooLarge"


@pytest.mark.parametrize("length", [1000, 2 * MIB])
def test_slow_bodies_are_given_up(wire: RawClient, length: int) -> None:
    put = wire.sign("PUT", "/limits/slow", payload_hash="UNSIGNED-PAYLOAD", unsigned_headers=[("Content-Length", str(length))])
    began = time.monotonic()
    with connect(wire) as connection:
        connection.sendall(put.head() + b"x")
        assert refusal_of(read_response(connection, "PUT")).code == "RequestTimeout"
    assert time.monotonic() - began < 15


def test_clients_that_take_nothing_are_cut_off(wire: RawClient) -> None:
    with connect(wire, receive_buffer=65536) as connection:
        connection.sendall(wire.sign("GET", "/limits/large").head())
        time.sleep(6)
        received = 0
        with contextlib.suppress(ConnectionError):
            while piece := connection.recv(MIB):
                received += len(piece)
        assert received < 24 * MIB


@pytest.fixture(scope="module")
def mounted(make_server: Callable[..., Server]) -> Iterator[Server]:
    server = make_server("sqlite-files", runner="gunicorn-wsgi")
    server.client().create_bucket(Bucket="limits")
    yield server
    server.stop()


@pytest.mark.parametrize("sending", ["nothing", "a byte now and then", "all it can"])
def test_wsgi_drains_a_refused_body_for_a_bounded_time(mounted: Server, sending: str) -> None:
    """In a project's WSGI server, a thread that refuses a body is soon free again, whatever the client does."""
    raw = RawClient(mounted.host, mounted.port, "AKIAUNKNOWN000000000", "secret")
    put = raw.sign("PUT", "/limits/refused", payload_hash="UNSIGNED-PAYLOAD", unsigned_headers=[("Content-Length", str(1 << 30))])
    began = time.monotonic()
    with connect(raw) as connection:
        connection.sendall(put.head())
        connection.setblocking(False)
        answer = b""
        # The head and the body of a response may arrive separately.
        while b"</Error>" not in answer and time.monotonic() - began < 20:
            with contextlib.suppress(BlockingIOError, ConnectionError):
                if sending == "a byte now and then":
                    connection.send(b"x")
                elif sending == "all it can":
                    connection.send(bytes(65536))
            with contextlib.suppress(BlockingIOError):
                answer += connection.recv(65536)
            time.sleep(0.05 if sending != "all it can" else 0)
    assert answer.startswith(b"HTTP/1.1 403") and b"InvalidAccessKeyId" in answer
    assert time.monotonic() - began < 8
