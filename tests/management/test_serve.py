"""`manage.py serve`: one command from nothing to a store, and everything stopped together."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers import ROOT, free_port


class Serve:
    """A running `manage.py serve`."""

    def __init__(self, directory: Path, port: int, *, number: int = 1) -> None:
        inherited = {
            name: value for name, value in os.environ.items() if name != "DATABASE_URL" and not name.startswith("POST3_")
        }
        environment = {**inherited, "POST3_DATA_DIR": str(directory / "var"), "POST3_HOST": f"127.0.0.1:{port}"}
        self.log_path, self.port = directory / f"serve-{number}.log", port
        command = [sys.executable, "manage.py", "serve"]
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
        """Return the pids of server and worker."""
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
    assert f"http://127.0.0.1:{serve.port}/_/admin/" in log
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
    if signum == signal.SIGINT:  # as a terminal does: everyone in the foreground gets it
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
    assert serve.log().splitlines()[-1] == f"CommandError: The {name} has ended by itself (status -9), so everything stops."


def test_serve_on_a_port_in_use_says_so_in_one_line(tmp_path: Path) -> None:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        place.listen()
        serve = Serve(tmp_path, place.getsockname()[1])
        assert serve.process.wait(60) == 1
    (line,) = serve.log().splitlines()
    assert "Address already in use" in line and "POST3_HOST" in line


def test_serve_bounds_the_head_of_a_request(serve: Serve) -> None:
    with socket.create_connection(("127.0.0.1", serve.port), timeout=20) as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nx-a: " + b"a" * 20_000)
        assert b"<Code>RequestHeaderSectionTooLarge</Code>" in client.recv(65536)
