"""docker/ci/pipeline.py on this machine, without an engine. Its `package` step is run by test_image.py."""

import os
import subprocess
import sys

import pytest

from ..servers import ROOT


def pipeline(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    # With -S, Python has no installed packages, and therefore no dagger-io.
    command = [sys.executable, "-S", "docker/ci/pipeline.py", *arguments]
    variables = {**os.environ, **environment}
    return subprocess.run(command, cwd=ROOT, env=variables, stdin=subprocess.DEVNULL, capture_output=True, text=True)


def test_the_check_step_passes_on_this_tree() -> None:
    done = pipeline("--step", "check", "--runner", "native")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Success: no issues found in" in done.stdout  # the type checker
    assert "=== check: done" in done.stdout and "=== all steps done: check" in done.stdout


def test_the_list_shows_each_step_and_its_pipelines() -> None:
    lines = {line.split()[0]: line.split()[1] for line in pipeline("--list").stdout.splitlines()}
    both = dict.fromkeys(("check", "test", "build"), "pr,main")
    assert lines == {**both, "package": "main", "compatibility": "matrix"}


def test_a_failing_step_ends_the_pipeline() -> None:
    """`make check` fails with this Python. The pipeline reports its status and does not start the next step."""
    done = pipeline("pr", "--runner", "native", MAKEFLAGS="PYTHON=/bin/false")
    assert done.returncode == 1
    assert "check failed: `make check` ended with status 2" in done.stderr
    assert "=== test" not in done.stdout and "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "say which pipeline"),
        (("--step", "deploy"), "There is no step 'deploy'"),
        (("nightly",), "invalid choice"),
    ],
)
def test_a_wrong_call_is_reported_in_one_line(arguments: tuple[str, ...], said: str) -> None:
    done = pipeline(*arguments)
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr


def test_an_unavailable_engine_is_reported_in_one_line() -> None:
    done = pipeline("pr", "--runner", "dagger")
    assert done.returncode == 1 and "dagger-io is not installed" in done.stderr and "Traceback" not in done.stderr
