"""A process that has imported the libraries and forks a child for each program. `starting.py` sends the requests.

Imports account for most of the second that Django takes to start. This process imports nothing of post3, reads no
settings, opens no connections and starts no threads. A child therefore does everything that post3 does in a new
interpreter. `serve` returns in the child, which runs its program and ends as any script does.
"""

import contextlib
import fcntl
import gc
import importlib
import io
import json
import os
import runpy
import select
import signal
import socket
import sys
from collections.abc import Sequence
from typing import Any

#: Modules that commands and servers import, except those that need settings. Each of them imports many others.
LIBRARIES = (
    "awscrt.checksums",
    "cryptography.fernet",
    "cryptography.hazmat.primitives.kdf.hkdf",
    "dj_database_url",
    "django.contrib.admin.apps",
    "django.contrib.admin.templatetags.admin_list",
    "django.contrib.admin.templatetags.admin_modify",
    "django.contrib.admin.templatetags.log",
    "django.contrib.auth.apps",
    "django.contrib.auth.tokens",
    "django.contrib.contenttypes.apps",
    "django.contrib.messages.apps",
    "django.contrib.messages.middleware",
    "django.contrib.sessions.apps",
    "django.contrib.sessions.backends.db",
    "django.contrib.sessions.management",
    "django.contrib.sessions.middleware",
    "django.contrib.sites.shortcuts",
    "django.contrib.staticfiles.apps",
    "django.contrib.staticfiles.management",
    "django.core.cache.backends.locmem",
    "django.core.handlers.asgi",
    "django.core.handlers.wsgi",
    "django.core.management.commands.makemigrations",
    "django.core.management.commands.migrate",
    "django.db.backends.postgresql.psycopg_any",
    "django.db.backends.sqlite3.base",
    "django.db.models.sql.compiler",
    "django.middleware.clickjacking",
    "django.middleware.common",
    "django.middleware.security",
    "django.utils.translation.reloader",
    "django.views.csrf",
    "django.views.decorators.http",
    "gunicorn.app.wsgiapp",
    "prometheus_client.core",
    "uvicorn.main",
    "uvicorn.protocols.http.httptools_impl",
    "uvicorn_worker",
    "uvloop",
    "whitenoise.middleware",
    "xml.parsers.expat",
)
#: The maximum size of a request in bytes. A request contains a command and its environment.
LONGEST = 1 << 20
#: The maximum number of files that a request can pass.
MOST_FILES = 16
#: A child moves its files above this number before it gives them the numbers in the request.
ABOVE = 200


class Children:
    """The running children. The pid and the exit status of each child are written to its pipe."""

    def __init__(self, requests: socket.socket) -> None:
        self._requests, self._reports = requests, dict[int, int]()
        self._ended, self._wakeup = os.pipe()
        for end in (self._ended, self._wakeup):
            os.set_blocking(end, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wakeup, warn_on_full_buffer=False)

    def serve(self) -> dict[str, Any] | None:
        """Fork for each request. Return the request in the child, and None here once the other end is closed."""
        while True:
            ready, _, _ = select.select([self._requests, self._ended], [], [])
            if self._ended in ready:
                os.read(self._ended, 4096)
                self._report_ended()
            if self._requests in ready:
                message, files, _, _ = socket.recv_fds(self._requests, LONGEST, MOST_FILES)
                if not message:
                    return None
                request = json.loads(message)
                if self._is_child(*files):
                    place_files(files[1:], request["files"])
                    return request

    def _is_child(self, report: int, *files: int) -> bool:
        child = os.fork()
        if child == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._requests.close()
            for file in (self._ended, self._wakeup, report, *self._reports.values()):
                os.close(file)
            return True
        for file in files:
            os.close(file)
        self._reports[child] = report
        _write(report, child)
        return False

    def _report_ended(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                report = self._reports.pop(ended[0])
                _write(report, os.waitstatus_to_exitcode(ended[1]))
                os.close(report)


def _write(report: int, number: int) -> None:
    with contextlib.suppress(BrokenPipeError):  # the test no longer waits
        os.write(report, f"{number}\n".encode())


def place_files(files: Sequence[int], numbers: Sequence[int]) -> None:
    """Give open files these numbers."""
    aside = [fcntl.fcntl(file, fcntl.F_DUPFD, ABOVE) for file in files]
    for file in files:
        os.close(file)
    for file, number in zip(aside, numbers, strict=True):
        os.dup2(file, number)
        os.close(file)


def adopt(request: dict[str, Any]) -> None:
    """Give this process the environment, directory, streams and import path that a new interpreter would have."""
    environment = request["environment"]
    if request["new_session"]:
        os.setsid()
    os.umask(request["umask"])
    os.chdir(request["directory"])
    os.environ.clear()
    os.environ.update(environment)
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = _stream(number, getattr(sys, name), is_unbuffered=bool(environment.get("PYTHONUNBUFFERED")))
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    program = request["arguments"][0]
    first = {"-m": os.getcwd(), "-c": ""}.get(program, os.path.dirname(os.path.abspath(program)))
    sys.path[:0] = [first, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]


def _stream(number: int, like: Any, *, is_unbuffered: bool) -> io.TextIOWrapper:
    file = io.FileIO(number, "wb", closefd=False)
    binary = file if is_unbuffered else io.BufferedWriter(file)
    return io.TextIOWrapper(
        binary, like.encoding, like.errors, line_buffering=number == 2 and not is_unbuffered, write_through=is_unbuffered
    )


def run(arguments: Sequence[str]) -> None:
    """Run the program of a `python` command: `-m module`, `-c text` or a script, with its arguments."""
    first, *rest = arguments
    if first == "-m":
        sys.argv = rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif first == "-c":
        sys.argv = ["-c", *rest[1:]]
        exec(rest[0], {"__name__": "__main__"})
    else:
        sys.argv = [first, *rest]
        runpy.run_path(first, run_name="__main__")


if __name__ == "__main__":
    del sys.path[0]  # the directory of this script
    for library in LIBRARIES:
        importlib.import_module(library)
    gc.freeze()  # collections in children would copy the memory of all these objects
    request = Children(socket.socket(fileno=int(sys.argv[1]))).serve()
    if request is not None:
        adopt(request)
        run(request["arguments"])
