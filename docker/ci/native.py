"""Run steps directly on this machine, one command after the other."""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence

from steps import ROOT, Step


class StepFailed(Exception):
    """A command of a step failed or could not be started. The message says which."""


def run(steps: Sequence[Step], image: str) -> None:
    """Run the steps. `image` (auto, yes, no): whether to build the container image. Raise StepFailed if one fails."""
    for step in steps:
        print(f"=== {step.name}: {step.meaning}", flush=True)
        began = time.monotonic()
        for command in step.commands:
            _run(step, [*command, "--image", image] if step.image else list(command))
        print(f"=== {step.name}: done in {time.monotonic() - began:.1f} s", flush=True)


def _run(step: Step, command: list[str]) -> None:
    print(f"$ {shlex.join(command)}", flush=True)
    # Use the Python that runs this; a program named python3 may not exist.
    words = [sys.executable, *command[1:]] if command[0] == "python3" else command
    try:
        status = subprocess.run(words, cwd=ROOT, env=environment(), stdin=subprocess.DEVNULL).returncode
    except OSError as error:
        raise StepFailed(f"{step.name} failed: {command[0]}: {error.strerror}") from None
    if status:
        raise StepFailed(f"{step.name} failed: `{shlex.join(command)}` ended with status {status}")


def environment() -> dict[str, str]:
    """Return this process's environment without the settings of a store that is used on this machine.

    BASE_PYTHON makes the Makefile create its environment with the Python that runs this.
    """
    mine = ("DATABASE_URL", "DJANGO_SETTINGS_MODULE")
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in mine and (not name.startswith("POST3_") or name.startswith("POST3_TEST_"))
    }
    return {"BASE_PYTHON": sys.executable, **kept}
