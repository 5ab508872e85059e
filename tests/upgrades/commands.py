"""Run `manage.py` commands one after the other in one process. Starting a process takes a second, most commands do not.

Run as a module, this reads a command's arguments as a line of JSON and writes its status and output as another.
"""

import contextlib
import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:  # the command process does not need boto3, which takes half a second to import
    from ..servers import Server

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class Result:
    """The exit status and output of a command."""

    status: int
    stdout: str
    stderr: str


class Commands:
    """A process that runs commands with a server's settings."""

    def __init__(self, server: "Server") -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.upgrades.commands"],
            cwd=ROOT,
            env={**server.environment, "DJANGO_SETTINGS_MODULE": "post3_site.settings"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._process.communicate()

    def __call__(self, *arguments: str) -> Result:
        assert self._process.stdin and self._process.stdout
        print(json.dumps(arguments), file=self._process.stdin, flush=True)
        return Result(*json.loads(self._process.stdout.readline()))


def run(arguments: list[str]) -> tuple[int, str, str]:
    """Run a command as `manage.py` does."""
    from post3_site.command_line import main

    status, stdout, stderr = 0, io.StringIO(), io.StringIO()
    sys.argv[:] = ["manage.py", *arguments]
    with contextlib.redirect_stdout(stdout), contextlib.redirect_stderr(stderr):
        try:
            main()
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
            if isinstance(end.code, str):
                print(end.code, file=stderr)
    return status, stdout.getvalue(), stderr.getvalue()


if __name__ == "__main__":
    # Other output to standard output must not be mixed with the results.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        print(json.dumps(run(json.loads(line))), file=answers, flush=True)
