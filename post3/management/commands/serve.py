"""`manage.py serve`: everything a machine needs to be an object store, in one command and without configuration.

It migrates, makes the first user and API key where there are none, and runs two children: the server and the worker.
They live and die together. For several servers on one database, run the parts yourself: docs/operations.md.
"""

import contextlib
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, connection, connections
from django.urls import NoReverseMatch, reverse

from ...databases import UnfitDatabase, find_faults
from ...services import access

DEFAULT_ADDRESS = ("127.0.0.1", 9000)
#: Seconds that running requests are given at the end, and seconds after which a child is killed.
GRACE, KILL_AFTER = 10, 15
#: uvicorn's protocol with post3's limits.
PROTOCOL = "post3.protocol:Protocol"
#: Clients keep their connections and write on them after a pause; closing early makes them fail.
KEEP_ALIVE = 75


class Command(BaseCommand):
    help = "Migrate, make a first API key, and serve S3 with the background worker beside it, until SIGTERM or Ctrl-C."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--no-worker", action="store_true", help="run the server only")

    def handle(self, *args: Any, **options: Any) -> None:
        stopped = threading.Event()
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, lambda *_: stopped.set())
        host, port = getattr(settings, "POST3_ADDRESS", DEFAULT_ADDRESS)
        place = reserve(host, port)
        try:
            prepare_database()
            if stopped.is_set():
                return  # before a key is made that nobody would see
            self.announce(host, port)
        finally:
            connections.close_all()
            place.close()
        commands = {"server": server_command(host, port)}
        if not options["no_worker"]:
            commands["worker"] = [sys.executable, sys.argv[0], "run_worker", "--skip-checks"]
        run_together(commands, stopped, lambda: self.tell_when_serving(host, port))

    def announce(self, host: str, port: int) -> None:
        """Print where the console is and, once, how to get in."""
        endpoint = f"http://{shown_host(host)}:{port}"
        lines = make_first_key()
        if lines:
            lines.insert(2, f"export AWS_ENDPOINT_URL={endpoint}")
        with contextlib.suppress(NoReverseMatch):  # a project without the admin
            lines.insert(3, f"Console: {endpoint}{reverse('admin:index')}")
        self.stdout.write("\n".join(lines))
        self.stdout.flush()

    def tell_when_serving(self, host: str, port: int) -> bool:
        """Print that the store is there, once it answers; return whether it does."""
        with contextlib.suppress(OSError), socket.create_connection((shown_host(host).strip("[]"), port), timeout=1):
            self.stdout.write(f"Serving S3 on http://{shown_host(host)}:{port} (Ctrl-C stops it)")
            self.stdout.flush()
            return True
        return False


def reserve(host: str, port: int) -> socket.socket:
    """Bind the address, so that a port in use is told before anything is done. Raises CommandError."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        place = socket.socket(family, kind, protocol)
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        place.bind(address)
    except OSError as error:
        raise CommandError(
            f"Cannot listen on {host}:{port}: {error.strerror or error}. "
            "Stop what listens there, or set POST3_HOST to another address."
        ) from None
    return place


def prepare_database() -> None:
    """Make the catalogue's tables, or bring them up to date. Raises CommandError where there is no database, or an unfit one."""
    try:
        if faults := find_faults(connection):
            raise CommandError(" ".join(map(str, faults)))
        call_command("migrate", interactive=False, verbosity=0)
    except UnfitDatabase as error:
        raise CommandError(str(error)) from None
    except OperationalError as error:
        reason = str(error).strip().splitlines()[0].rstrip(".")
        raise CommandError(f"The database cannot be reached: {reason}. Start it, or correct DATABASE_URL.") from None


def make_first_key() -> list[str]:
    """Make an admin user and an API key where there is none; return the lines that tell them: key, secret, user, password.

    Where any key exists, even a revoked one, nothing is made: then somebody looks after keys already.
    """
    if access.find_api_keys().exists():
        return []
    users = get_user_model()._default_manager
    admin, login = users.filter(is_superuser=True, is_active=True).order_by("pk").first(), []
    if admin is None:
        password = secrets.token_urlsafe(12)
        name = next(name for name in ("admin", "post3-admin", f"admin-{secrets.token_hex(4)}") if not _taken(name))
        admin = users.create_superuser(**{get_user_model().USERNAME_FIELD: name}, password=password)
        login = [f"User: {name}", f"Password: {password}"]
    key, secret = access.create_api_key(admin, "first key")
    return [f"export AWS_ACCESS_KEY_ID={key.access_key}", f"export AWS_SECRET_ACCESS_KEY={secret}", *login]


def _taken(name: str) -> bool:
    return get_user_model()._default_manager.filter(**{get_user_model().USERNAME_FIELD: name}).exists()


def shown_host(host: str) -> str:
    """Return the host to write into a URL for a client on this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"[{host}]" if ":" in host else host


def server_command(host: str, port: int) -> list[str]:
    module, _, attribute = settings.ASGI_APPLICATION.rpartition(".")
    # `uvloop`, and `httptools` below PROTOCOL, by name: falling back to the slow ones shall be an error, not a surprise.
    options = f"--host {host} --port {port} --loop uvloop --http {PROTOCOL} --ws none --no-access-log --no-server-header"
    timeouts = f"--timeout-keep-alive {KEEP_ALIVE} --timeout-graceful-shutdown {GRACE} --log-level warning"
    return [sys.executable, "-m", "uvicorn", *options.split(), *timeouts.split(), f"{module}:{attribute}"]


def run_together(commands: dict[str, list[str]], stopped: threading.Event, tell: Callable[[], bool]) -> None:
    """Run the commands until told to stop; `tell` is called until it returns True.

    Raises CommandError where one of them ends by itself; the others are stopped.
    """
    children: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, command in commands.items():
            # Ctrl-C reaches the whole group; a child that still imports would show a traceback, so it waits to be terminated.
            children[name] = subprocess.Popen(command, preexec_fn=_ignore_interrupts)
        told = False
        while not stopped.wait(0.2):
            told = told or tell()
            for name, child in children.items():
                if child.poll() is not None:
                    raise CommandError(f"The {name} has ended by itself (status {child.returncode}), so everything stops.")
    finally:
        stop_all(list(children.values()))


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def stop_all(children: list[subprocess.Popen[bytes]]) -> None:
    """Ask all children to end, and kill those that do not in time."""
    for child in children:
        if child.poll() is None:
            child.terminate()
    deadline = time.monotonic() + KILL_AFTER
    for child in children:
        try:
            child.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
