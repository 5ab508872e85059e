"""`manage.py serve`: one command creates and serves a store, and stops all its processes together."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import ROOT, free_port


class Serve:
    """A running `manage.py serve`."""

    def __init__(self, directory: Path, port: int, *options: str, number: int = 1, console_host: str | None = None) -> None:
        """Start the process. With `console_host` None, choose a free port; with "", leave the setting out."""
        inherited = {
            name: value for name, value in os.environ.items() if name != "DATABASE_URL" and not name.startswith("POST3_")
        }
        self.console_host = f"127.0.0.1:{free_port()}" if console_host is None else console_host
        environment = {
            **inherited,
            "POST3_DATA_DIR": str(directory / "var"),
            "POST3_HOST": f"127.0.0.1:{port}",
            "POST3_CONSOLE_HOST": self.console_host,
        }
        self.log_path, self.port = directory / f"serve-{number}.log", port
        command = [sys.executable, "manage.py", "serve", *options]
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def log(self) -> str:
        return self.log_path.read_text()

    def wait_until_serving(self) -> str:
        deadline = time.monotonic() + 60
        while "Serving S3 on" not in self.log():
            assert self.process.poll() is None and time.monotonic() < deadline, self.log()
            time.sleep(0.05)
        return self.log()

    def children(self) -> dict[str, int]:
        """Return the PIDs of the server and the worker."""
        listing = subprocess.run(["ps", "-eww", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
        rows = [line.split(None, 2) for line in listing.splitlines()]
        mine = [(int(pid), args) for pid, parent, args in rows if int(parent) == self.process.pid]
        return {"worker" if "run_worker" in args else "server": pid for pid, args in mine}

    def is_listening(self) -> bool:
        with socket.socket() as place:
            return place.connect_ex(("127.0.0.1", self.port)) == 0


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    running = Serve(tmp_path, free_port())
    running.wait_until_serving()
    yield running
    if running.process.poll() is None:
        running.process.terminate()
    running.process.wait(30)


def test_serve_prints_the_first_key_once_and_keeps_everything(serve: Serve, tmp_path: Path) -> None:
    log = serve.log()
    assert re.search(r"^export AWS_ACCESS_KEY_ID=\w+$", log, re.MULTILINE)
    assert re.search(r"^export AWS_SECRET_ACCESS_KEY=\w{40}$", log, re.MULTILINE)
    assert f"export AWS_ENDPOINT_URL=http://127.0.0.1:{serve.port}\n" in log
    assert f"\nConsole: http://{serve.console_host}/_/admin/\n" in log
    with urllib.request.urlopen(f"http://{serve.console_host}/_/admin/login/", timeout=20) as answer:
        assert answer.status == 200
    assert re.search(r"^User: admin\nPassword: \S{12,}$", log, re.MULTILINE)
    serve.process.send_signal(signal.SIGINT)
    assert serve.process.wait(30) == 0
    again = Serve(tmp_path, serve.port, number=2)
    log = again.wait_until_serving()
    again.process.terminate()
    assert again.process.wait(30) == 0
    assert "AWS_" not in log and "Password" not in log


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_serve_stops_both_children(serve: Serve, signum: signal.Signals) -> None:
    children = serve.children()
    assert set(children) == {"server", "worker"}
    if signum == signal.SIGINT:  # as a terminal does, signal the whole foreground process group
        os.killpg(serve.process.pid, signum)
    else:
        serve.process.send_signal(signum)
    assert serve.process.wait(30) == 0
    assert not serve.is_listening()
    assert not [pid for pid in children.values() if Path(f"/proc/{pid}").exists()]
    assert "Traceback" not in serve.log()


@pytest.mark.parametrize("name", ["server", "worker"])
def test_serve_ends_when_a_child_dies(serve: Serve, name: str) -> None:
    os.kill(serve.children()[name], signal.SIGKILL)
    assert serve.process.wait(30) == 1
    assert not serve.is_listening()
    assert serve.log().splitlines()[-1] == f"CommandError: The {name} exited unexpectedly (status -9), so everything stops."


def test_serve_uses_another_console_port_if_the_default_one_is_in_use(tmp_path: Path) -> None:
    with contextlib.ExitStack() as open_here:
        with contextlib.suppress(OSError):  # the port is already in use by another process
            open_here.enter_context(socket.create_server(("127.0.0.1", 9001)))
        running = Serve(tmp_path, free_port(), console_host="")
        try:
            found = re.search(r"^Console: (http://127\.0\.0\.1:(\d+)/_/admin/)$", running.wait_until_serving(), re.MULTILINE)
            assert found and found[2] != "9001"
            with urllib.request.urlopen(found[1], timeout=20) as answer:
                assert answer.status == 200 and answer.url.endswith("/_/admin/login/?next=/_/admin/")
        finally:
            running.process.terminate()
            running.process.wait(30)


@pytest.mark.parametrize("setting", ["POST3_HOST", "POST3_CONSOLE_HOST"])
def test_serve_on_a_port_in_use_prints_one_line(tmp_path: Path, setting: str) -> None:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        place.listen()
        taken = place.getsockname()[1]
        if setting == "POST3_HOST":
            serve = Serve(tmp_path, taken)
        else:
            serve = Serve(tmp_path, free_port(), console_host=f"127.0.0.1:{taken}")
        assert serve.process.wait(60) == 1
    (line,) = serve.log().splitlines()
    assert f"127.0.0.1:{taken}" in line and "Address already in use" in line and setting in line


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--console-host", "http://console.example.com"], "--console-host"),
        (["--host", "256.1.1.1"], "256.1.1.1"),
        (["--port", "65536"], "--port"),
        (["--host", "127.0.0.1", "--port", "0"], "--port"),
    ],
)
def test_serve_on_an_invalid_address_prints_one_line(tmp_path: Path, options: list[str], expected: str) -> None:
    serve = Serve(tmp_path, free_port(), *options)
    assert serve.process.wait(60) == 1
    (line,) = serve.log().splitlines()
    assert expected in line


def test_serve_listens_on_the_addresses_in_its_options(tmp_path: Path) -> None:
    port, console = free_port(), f"127.0.0.1:{free_port()}"
    options = ["--host", "127.0.0.1", "--port", str(port), "--console-host", console]
    serve = Serve(tmp_path, free_port(), *options)
    try:
        log = serve.wait_until_serving()
        assert f"export AWS_ENDPOINT_URL=http://127.0.0.1:{port}\n" in log and f"Console: http://{console}/_/admin/\n" in log
        assert not serve.is_listening()
        # Both addresses are served by the time this is printed.
        with urllib.request.urlopen(f"http://{console}/_/admin/login/", timeout=20) as answer:
            assert answer.status == 200
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/_/health/ready", timeout=20) as answer:
            assert answer.status == 200
    finally:
        serve.process.terminate()
        assert serve.process.wait(30) == 0


def test_serve_of_two_stores_on_one_port_serves_only_one(tmp_path: Path) -> None:
    """Both start at the same moment: neither listens yet when the other checks the port."""
    port = free_port()
    first, second = (tmp_path / name for name in ("first", "second"))
    for directory in (first, second):
        directory.mkdir()
    both = [Serve(directory, port) for directory in (first, second)]
    try:
        deadline = time.monotonic() + 60
        while all(serve.process.poll() is None for serve in both):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        (loser,) = [serve for serve in both if serve.process.poll() is not None]
        (winner,) = [serve for serve in both if serve is not loser]
        assert loser.process.returncode == 1 and "Address already in use" in loser.log()
        winner.wait_until_serving()
    finally:
        for serve in both:
            if serve.process.poll() is None:
                serve.process.terminate()
            serve.process.wait(30)


def test_serve_limits_the_head_of_a_request(serve: Serve) -> None:
    with socket.create_connection(("127.0.0.1", serve.port), timeout=20) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nx-a: " + b"a" * 20_000)
        assert b"<Code>RequestHeaderSectionTooLarge</Code>" in b"".join(iter(lambda: client.recv(65536), b""))
