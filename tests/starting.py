"""Start Python programs from tests.

By default, a program runs in a child of a process that has already imported the libraries (`forking.py`). This saves
most of a second per program, for hundreds of programs. A program runs in a new interpreter if the test requests it, if
it needs another Python, or if its environment differs in a variable that the interpreter or the loader reads at
startup.
"""

import atexit
import functools
import io
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from . import forking

ROOT = Path(__file__).resolve().parent.parent
#: The prefixes of variables that the interpreter or the loader reads at startup.
READ_AT_START = ("PYTHON", "LD_", "LC_", "LANG", "MALLOC_", "COVERAGE_")
#: The variables among these that a forked child also applies.
APPLIED = ("PYTHONPATH", "PYTHONUNBUFFERED")


class Forked:
    """A child of the forking process, with the methods of `subprocess.Popen` that tests use."""

    def __init__(self, report: int, arguments: Sequence[str]) -> None:
        self.args, self.returncode = list(arguments), None
        self._report = io.FileIO(report)
        self.pid = self._read_number()

    def _read_number(self) -> int:
        line = self._report.readline()
        if not line:
            raise RuntimeError("the forking process has ended")
        return int(line)

    def poll(self) -> int | None:
        return self._ended_within(0)

    def wait(self, timeout: float | None = None) -> int:
        status = self._ended_within(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return status

    def _ended_within(self, seconds: float | None) -> int | None:
        if self.returncode is None and select.select([self._report], [], [], seconds)[0]:
            self.returncode = self._read_number()
            self._report.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Forking:
    """The forking process, and the socket to it."""

    def __init__(self) -> None:
        self._lock, (self._socket, theirs) = threading.Lock(), socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, forking.LONGEST)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, forking.__file__, str(theirs.fileno())],
                cwd="/",
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C in the terminal does not reach it
            )

    def start(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        directory: str | Path,
        files: Mapping[int, int],
        *,
        new_session: bool = False,
    ) -> Forked:
        """Start a program. `files` maps file descriptors of the child to open file descriptors of this process."""
        with self._lock:
            os.umask(umask := os.umask(0o077))
            request = {
                "arguments": list(arguments),
                "environment": dict(environment),
                "directory": str(directory),
                "files": list(files),
                "umask": umask,
                "new_session": new_session,
            }
            ours, report = os.pipe()
            try:
                socket.send_fds(self._socket, [json.dumps(request).encode()], [report, *files.values()])
            finally:
                os.close(report)
        return Forked(ours, arguments)

    def end(self) -> None:
        self._socket.close()
        self._process.wait()


@functools.cache
def _forking() -> Forking:
    process = Forking()
    atexit.register(process.end)
    return process


def _can_fork(python: str, environment: Mapping[str, str]) -> bool:
    """Whether a forked child behaves like a new interpreter."""
    return python == sys.executable and _read_at_start(environment) == _read_at_start(os.environ)


def _read_at_start(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if name.startswith(READ_AT_START) and name not in APPLIED}


def run(
    *arguments: str,
    environment: Mapping[str, str],
    directory: str | Path = ROOT,
    text: str = "",
    python: str = sys.executable,
    anew: bool = False,
    timeout: float = 120,
) -> "subprocess.CompletedProcess[str]":
    """Run `python ARGUMENTS` with `text` as standard input, and return its output. `anew` forces a new interpreter."""
    command = [python, *arguments]
    if anew or not _can_fork(python, environment):
        return subprocess.run(
            command, cwd=directory, env=environment, input=text, capture_output=True, text=True, timeout=timeout
        )
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        given.write(text.encode())
        given.seek(0)
        files = {0: given.fileno(), 1: output.fileno(), 2: errors.fileno()}
        child = _forking().start(arguments, environment, directory, files)
        try:
            status = child.wait(timeout)
        except BaseException:
            child.kill()
            raise
        return subprocess.CompletedProcess(command, status, _text(output), _text(errors))


def start(
    *arguments: str,
    environment: Mapping[str, str],
    log: IO[bytes],
    pass_fds: Sequence[int] = (),
    python: str = sys.executable,
    anew: bool = False,
) -> "Forked | subprocess.Popen[bytes]":
    """Start `python ARGUMENTS` in a new session, with its output in `log`, and return the process."""
    if not anew and _can_fork(python, environment):
        with open(os.devnull, "rb") as nothing:
            files = {0: nothing.fileno(), 1: log.fileno(), 2: log.fileno(), **{number: number for number in pass_fds}}
            return _forking().start(arguments, environment, ROOT, files, new_session=True)
    return subprocess.Popen(
        [python, *arguments],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,
        pass_fds=pass_fds,
    )


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()
