"""Real servers for tests: a process on a free port, with its own catalogue, storage and API key."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import botocore.session
from botocore.config import Config

from . import starting
from .starting import ROOT as ROOT

#: Seconds to wait for a server to start and to end.
START_TIMEOUT, STOP_TIMEOUT = 60, 20

RUNNERS = {
    # As `manage.py serve` starts it.
    "uvicorn": "post3.server.process {sockets} post3_site.asgi:application",
    "uvicorn-plain": "uvicorn --host {host} --port {port} --no-access-log --timeout-keep-alive 75 post3_site.asgi:application",
    "gunicorn-asgi": "gunicorn -c python:post3_site.gunicorn -k post3_site.worker.Worker post3_site.asgi:application",
    # As a Django project that mounts post3 can be served.
    "gunicorn-wsgi": "gunicorn -c python:tests.wsgi_settings tests.wsgi",
}


#: Ways of starting that only tests of starting use.
ODD_RUNNERS = {
    "uvicorn-h11": "uvicorn --host {host} --port {port} --http h11 --no-access-log post3_site.asgi:application",
    "gunicorn-plain-config": "gunicorn -c python:post3_site.gunicorn post3_site.asgi:application",
}


class Server:
    """A server process. `environment` holds the variables that configure it: DATABASE_URL, POST3_… .

    `runner` is a name of RUNNERS, or a command of that form. `python` runs the server and its commands. `anew`: start
    the server in a new interpreter.
    """

    def __init__(
        self,
        data_dir: Path,
        environment: dict[str, str] | None = None,
        *,
        runner: str = "uvicorn",
        console_port: int = 0,
        python: str | Path = sys.executable,
        anew: bool = False,
    ) -> None:
        self.data_dir, self.runner, self.host, self.port = data_dir, runner, "127.0.0.1", free_port()
        self.python, self._anew = str(python), anew
        self.url = f"http://{self.host}:{self.port}"
        #: The console has its own port. Plain uvicorn listens on one address only, without the console.
        self.console_port = console_port or free_port()
        self.console_url = f"http://{self.host}:{self.console_port}"
        self.log_path = data_dir / "server.log"
        self.access_key = self.secret_key = ""
        self._process: starting.Forked | subprocess.Popen[bytes] | None = None
        inherited = {
            name: value for name, value in os.environ.items() if name != "DATABASE_URL" and not name.startswith("POST3_")
        }
        self.environment = {
            **inherited,
            "POST3_DATA_DIR": str(data_dir / "var"),
            "POST3_HOST": f"{self.host}:{self.port}",
            "POST3_CONSOLE_HOST": f"{self.host}:{self.console_port}",
            "POST3_SECRET_KEY": "only-for-tests-" + "0123456789" * 4,
            "PYTHONUNBUFFERED": "1",
            **(environment or {}),
        }

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is not running"
        return self._process.pid

    def manage(self, *arguments: str) -> str:
        """Run `manage.py` with this server's settings and return its output."""
        done = starting.run("manage.py", *arguments, environment=self.environment, python=self.python)
        assert done.returncode == 0, f"manage.py {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}"
        return done.stdout

    def start(self) -> None:
        """Migrate, create a key if there is none, start the process and wait until it is ready."""
        self.prepare()
        self.run()

    def prepare(self) -> None:
        """Migrate, and create a key if there is none."""
        self.manage("migrate", "--no-input", "-v", "0")
        if not self.access_key:
            self.access_key, self.secret_key = self.create_api_key("tester")

    def create_api_key(self, user: str) -> tuple[str, str]:
        """Return a new access key and its secret. The user is created if missing."""
        key = json.loads(self.manage("create_api_key", "--user", user, "--create-user", "--json"))
        return key["AWS_ACCESS_KEY_ID"], key["AWS_SECRET_ACCESS_KEY"]

    def run(self) -> None:
        """Start only the process (again after `stop` or `kill`) and wait until it is ready."""
        with contextlib.ExitStack() as open_here:
            log = open_here.enter_context(open(self.log_path, "ab"))
            template, numbers = {**RUNNERS, **ODD_RUNNERS}.get(self.runner, self.runner), []
            if "{sockets}" in template:
                numbers = [open_here.enter_context(bound(self.host, port)).fileno() for port in (self.port, self.console_port)]
            sockets = " ".join(f"--fd={number}" for number in numbers)
            command = template.format(host=self.host, port=self.port, sockets=sockets).split()
            # `python -m`, because the scripts in the environment's bin directory may not be on PATH. The process gets
            # its own session, so that `kill` reaches gunicorn's workers, which are in the process group of their
            # master.
            self._process = starting.start(
                "-m", *command, environment=self.environment, log=log, pass_fds=numbers, python=self.python, anew=self._anew
            )
        deadline = time.monotonic() + START_TIMEOUT
        while not self.is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                status = self._process.poll()
                self.stop()
                raise RuntimeError(f"The server did not start (status {status}):\n{self.log()}")
            time.sleep(0.05)

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/_/health/ready", timeout=5) as response:
                return response.status == 200
        except (OSError, urllib.error.URLError):
            return False

    def log(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def stop(self) -> None:
        """End the process as an operator would. Kill it if it does not end in time."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None

    def wait(self) -> int:
        """Wait for a process that was signalled to end, and return its status."""
        assert self._process is not None
        return self._process.wait(STOP_TIMEOUT + 20)

    def kill(self) -> None:
        """End master and workers immediately, as a crash would."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def client(self, service: str = "s3", **config: Any) -> Any:
        """Return a boto3 client of this server; keywords go to botocore's Config."""
        defaults: dict[str, Any] = {
            "s3": {"addressing_style": "path"},
            # A retry would hide errors that real clients see.
            "retries": {"total_max_attempts": 1},
            "read_timeout": 120,
            "max_pool_connections": 50,
        }
        return SESSION.client(
            service,
            endpoint_url=self.url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name="us-east-1",
            config=Config(**{**defaults, **config}),
        )


def timestamp(text: str) -> datetime:
    """Read a time as S3 writes it in documents and in headers, and no other form.

    botocore's own parser accepts whatever looks like a date, and takes a seventh of the time of listing tests.
    """
    if re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", text):
        return datetime.fromisoformat(text)
    return datetime.strptime(text, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)


def _session() -> boto3.session.Session:
    core = botocore.session.get_session()
    core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=timestamp)
    return boto3.session.Session(botocore_session=core)


SESSION = _session()


def bound(host: str, port: int) -> socket.socket:
    """Return a socket bound to an address; the server listens on it."""
    place = socket.socket()
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    place.bind((host, port))
    return place


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        return place.getsockname()[1]
