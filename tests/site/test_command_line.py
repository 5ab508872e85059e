"""`post3 help` and the messages of commands, as a new user sees them."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from .. import starting
from ..servers import ROOT

OURS = {path.stem for path in (ROOT / "post3" / "management" / "commands").glob("[a-z]*.py")} - {"serve_for_tests"} | {"migrate"}
DJANGOS = {"createsuperuser", "dbshell", "shell", "runserver"}


def post3(directory: Path, *arguments: str, **values: str) -> subprocess.CompletedProcess[str]:
    inherited = {key: text for key, text in os.environ.items() if key != "DATABASE_URL" and not key.startswith("POST3_")}
    environment = {**inherited, "PYTHONPATH": str(ROOT), **values}
    return starting.run("-m", "post3_site", *arguments, environment=environment, directory=directory, timeout=60)


@pytest.mark.parametrize("arguments", [[], ["help"], ["--help"]])
def test_help_lists_our_commands_with_a_line_each(arguments: list[str], tmp_path: Path) -> None:
    done = post3(tmp_path, *arguments, POST3_DATA_DIR=str(tmp_path / "var"))
    assert (done.returncode, done.stderr) == (0, "")
    listed = dict(re.findall(r"^  (\w+) +(\w.+)$", done.stdout, re.MULTILINE))
    assert set(listed) == OURS and all(listed.values())
    assert "help --all" in done.stdout and "dbshell" not in done.stdout and "serve_for_tests" not in done.stdout


def test_help_of_all_lists_djangos_commands_apart(tmp_path: Path) -> None:
    ours, djangos = post3(tmp_path, "help", "--all").stdout.split("Django's own commands:")
    assert set(djangos.split()) >= DJANGOS and not OURS & set(djangos.split())
    assert "  serve " in ours and "serve_for_tests" not in ours + djangos


def test_help_works_where_a_setting_is_wrong(tmp_path: Path) -> None:
    done = post3(tmp_path, "help", POST3_THREADS="many", DATABASE_URL="foo")
    assert (done.returncode, done.stderr) == (0, "") and "serve" in done.stdout


def test_a_reader_that_goes_is_no_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "post3_site", "help"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_an_unknown_command_is_told_before_anything_else(tmp_path: Path) -> None:
    done = post3(tmp_path, "srve")
    assert done.returncode == 1 and "Did you mean serve?" in done.stderr and "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
