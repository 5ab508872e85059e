"""`manage.py serve`: run a complete object store on one machine with one command and no configuration.

The command migrates the database, creates a first user and API key if there are none, and runs two child processes:
the server and the worker. If one of them exits, the other is stopped. To run several servers on one database, run the
server and the worker separately: docs/operations.md.
"""

import contextlib
import http.client
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import OperationalError, connection, connections

from ...access import keys
from ...console_host import ConsoleHost, in_url, is_console_host
from ...db.databases import UnfitDatabase, find_faults
from ...server.process import BACKLOG
from ...web.origins import console_host, console_url, s3_address
from ..base import authorise_command

#: Seconds that running requests have to finish at shutdown, and seconds after which a child is killed.
GRACE, KILL_AFTER = 10, 15


class Command(BaseCommand):
    help = "Migrate, create a first API key, and run the S3 server and the background worker until SIGTERM or Ctrl-C."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--no-worker", action="store_true", help="run only the server")
        parser.add_argument("--host", help="address to listen on for S3, instead of the one in POST3_HOST")
        parser.add_argument("--port", help="port to listen on for S3, instead of the one in POST3_HOST")
        parser.add_argument("--console-host", metavar="HOST[:PORT]", help="console address, instead of POST3_CONSOLE_HOST")

    def handle(self, *args: Any, **options: Any) -> None:
        authorise_command(self)
        stopped = threading.Event()
        for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(signum, lambda *_: stopped.set())
        host, port, console = chosen_addresses(options)
        with contextlib.ExitStack() as open_here:
            places = [open_here.enter_context(listen(host, port, "POST3_HOST"))]
            if console is not None and (address := console.listening_address(host)) is not None:
                places.append(open_here.enter_context(listen_for_console(*address)))
            try:
                prepare_database()
                if stopped.is_set():
                    return  # before creating a key whose secret nobody would see
                self.announce(host, port)
            finally:
                connections.close_all()
            commands = {"server": server_command(places)}
            if not options["no_worker"]:
                commands["worker"] = [sys.executable, *_this_program(), "run_worker", "--skip-checks"]
            run_together(commands, stopped, lambda: self.tell_when_serving(host, port), places)

    def announce(self, host: str, port: int) -> None:
        """Print the URL of the console and, on the first start, the credentials."""
        endpoint = f"http://{shown_host(host)}:{port}"
        lines = make_first_key()
        if lines:
            lines.insert(2, f"export AWS_ENDPOINT_URL={endpoint}")
        if address := console_url(False, f"{shown_host(host)}:{port}"):
            lines.insert(3, f"Console: {address if '://' in address else endpoint + address}")
        self.stdout.write("\n".join(lines))
        self.stdout.flush()

    def tell_when_serving(self, host: str, port: int) -> bool:
        """Print that the store is ready if it responds, and return whether it does."""
        connection = http.client.HTTPConnection(shown_host(host).strip("[]"), port, timeout=1)
        try:
            connection.request("HEAD", "/")
            connection.getresponse()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        self.stdout.write(f"Serving S3 on http://{shown_host(host)}:{port} (press Ctrl-C to stop)")
        self.stdout.flush()
        return True


def chosen_addresses(options: dict[str, Any]) -> tuple[str, int, ConsoleHost | None]:
    """Return the host and port of S3, and the location of the console.

    Options from the command line are passed to the children in their environment. Raises CommandError.
    """
    host, port = s3_address()
    host = (options["host"] or host).strip("[]")
    if (given := options["port"]) is not None:
        if not (given.isascii() and given.isdecimal() and 0 < int(given) < 65536):
            raise CommandError(f"--port is {given!r}. Write a number from 1 to 65535.")
        port = int(given)
    os.environ.update(POST3_HOST=f"{in_url(host)}:{port}")
    settings.POST3_ADDRESS = (host, port)
    if options["console_host"]:
        if not is_console_host(options["console_host"]):
            hint = "Write host:port, like 127.0.0.1:9001, or a separate host name, like console.example.com."
            raise CommandError(f"--console-host is {options['console_host']!r}. {hint}")
        set_console_host(options["console_host"])
    console_host.cache_clear()  # depends on the host of S3
    console = console_host()
    if console is not None and console.port == port:
        raise CommandError(f"S3 and the console cannot both use port {port}. Set POST3_CONSOLE_HOST to another address.")
    return host, port, console


def set_console_host(text: str) -> None:
    """Set POST3_CONSOLE_HOST for this process and its children."""
    os.environ.update(POST3_CONSOLE_HOST=text)
    settings.POST3_CONSOLE_HOST, settings.POST3_CONSOLE_HOST_CHOSEN = text, True
    console_host.cache_clear()


def listen_for_console(host: str, port: int) -> socket.socket:
    """Listen for the console. If its address is the default one and in use, listen on any free port, which is printed.

    This lets several stores run on one machine. Raises CommandError.
    """
    try:
        return listen(host, port, "POST3_CONSOLE_HOST")
    except CommandError:
        if getattr(settings, "POST3_CONSOLE_HOST_CHOSEN", True):
            raise
    place = listen(host, 0, "POST3_CONSOLE_HOST")
    set_console_host(f"{in_url(host)}:{place.getsockname()[1]}")
    return place


def listen(host: str, port: int, setting: str) -> socket.socket:
    """Listen on the address. Clients wait in the socket's queue until the server accepts them.

    Raises CommandError if the address is in use.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        place = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _cannot_listen(host, port, setting, error) from None
    try:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            place.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # as uvicorn and gunicorn listen
        place.bind(address)
        place.listen(BACKLOG)
    except OSError as error:
        place.close()
        raise _cannot_listen(host, port, setting, error) from None
    return place


def _cannot_listen(host: str, port: int, setting: str, error: OSError) -> CommandError:
    return CommandError(
        f"Cannot listen on {in_url(host)}:{port}: {error.strerror or error}. "
        f"Stop the program that listens there, or set {setting} to another address."
    )


def prepare_database() -> None:
    """Create or migrate the catalogue's tables. Raises CommandError if the database is unreachable or unsuitable."""
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
    """Create an API key, and an admin user if there is none; return lines with the key, secret, user and password.

    If any key exists, even a revoked one, create nothing: somebody is already managing keys.
    """
    if keys.find_api_keys().exists():
        return []
    users = get_user_model()._default_manager
    admin, login = users.filter(is_superuser=True, is_active=True).order_by("pk").first(), []
    if admin is None:
        password = secrets.token_urlsafe(12)
        name = next(name for name in ("admin", "post3-admin", f"admin-{secrets.token_hex(4)}") if not _taken(name))
        admin = users.create_superuser(**{get_user_model().USERNAME_FIELD: name}, password=password)
        login = [f"User: {name}", f"Password: {password}"]
    key, secret = keys.create_api_key(admin, "first key")
    return [f"export AWS_ACCESS_KEY_ID={key.access_key}", f"export AWS_SECRET_ACCESS_KEY={secret}", *login]


def _taken(name: str) -> bool:
    return get_user_model()._default_manager.filter(**{get_user_model().USERNAME_FIELD: name}).exists()


def shown_host(host: str) -> str:
    """Return the host to use in URLs for clients on this machine."""
    return in_url({"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host))


def server_command(places: Sequence[socket.socket]) -> list[str]:
    module, _, attribute = settings.ASGI_APPLICATION.rpartition(".")
    numbers = [f"--fd={place.fileno()}" for place in places]
    return [sys.executable, "-m", "post3.server.process", *numbers, f"--grace={GRACE}", f"{module}:{attribute}"]


def _this_program() -> list[str]:
    """Return the arguments that start this program: the path of a script, or `-m` and the name of a package."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return [sys.argv[0]] if spec is None else ["-m", spec.parent]


def run_together(
    commands: dict[str, list[str]], stopped: threading.Event, tell: Callable[[], bool], places: Sequence[socket.socket]
) -> None:
    """Run the commands until `stopped` is set. Call `tell` until it returns True. The server takes over the sockets.

    If one of the commands exits, stops the others and raises CommandError.
    """
    children: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, command in commands.items():
            numbers = [place.fileno() for place in places] if name == "server" else []
            # Ctrl-C reaches the whole process group. A child that is still importing would print a traceback, so
            # children ignore the signal and are terminated instead.
            children[name] = subprocess.Popen(command, preexec_fn=_ignore_interrupts, pass_fds=numbers)
        for place in places:
            place.close()
        told = False
        while not stopped.wait(0.2):
            told = told or tell()
            for name, child in children.items():
                # A signal to the whole group may end a child before this process handles the signal.
                if child.poll() is not None and not stopped.wait(0.2):
                    raise CommandError(f"The {name} exited unexpectedly (status {child.returncode}), so everything stops.")
    finally:
        stop_all(list(children.values()))


def _ignore_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def stop_all(children: list[subprocess.Popen[bytes]]) -> None:
    """Terminate all children, and kill those that do not exit in time."""
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
