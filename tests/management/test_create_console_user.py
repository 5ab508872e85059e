"""`manage.py create_console_user`: the user can log in over HTTP, however the password was given.

This includes users that existed before.
"""

import json
import os
import pty
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from .. import starting
from ..console.test_console import Browser
from ..helpers import query
from ..servers import ROOT, Server

PASSWORD = "only for tests, and long"


def run(server: Server, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return starting.run("manage.py", "create_console_user", *arguments, environment=server.environment, text=text)


def logs_in(server: Server, name: str, password: str) -> bool:
    browser = Browser(server)
    browser.get("/_/admin/login/")
    browser.post("/_/admin/login/", username=name, password=password, next="/_/admin/post3/bucket/")
    return browser.status == 200 and browser.address.endswith("/bucket/")


@pytest.fixture
def name() -> str:
    return f"user-{uuid.uuid4().hex[:12]}"


def test_create_console_user_creates_a_user_who_can_log_in(server: Server, name: str) -> None:
    done = run(server, name)
    assert done.returncode == 0, done.stderr
    lines = dict(line.split(": ") for line in done.stdout.splitlines())
    assert lines["User"] == name
    assert logs_in(server, name, lines["Password"])


def test_create_console_user_prints_json(server: Server, name: str) -> None:
    printed = json.loads(run(server, name, "--json").stdout)
    assert printed == {"user": name, "created": True, "password": printed["password"]}
    assert logs_in(server, name, printed["password"])


@pytest.mark.parametrize("where", ["file", "standard input"])
def test_create_console_user_accepts_a_password(server: Server, name: str, tmp_path: Path, where: str) -> None:
    (tmp_path / "password").write_text(PASSWORD + "\n")
    file = "-" if where == "standard input" else str(tmp_path / "password")
    done = run(server, name, "--password-file", file, text=PASSWORD + "\n")
    assert (done.returncode, done.stdout) == (0, f"User: {name}\n"), done.stderr
    assert logs_in(server, name, PASSWORD)


def test_create_console_user_asks_for_a_password(server: Server, name: str) -> None:
    command = [sys.executable, "manage.py", "create_console_user", name, "--ask"]
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(ROOT)
        os.execve(command[0], command, server.environment)
    for prompt in (b"Password: ", b"Password (again): "):
        shown = b""
        while prompt not in shown:
            shown += os.read(terminal, 1000)
        os.write(terminal, PASSWORD.encode() + b"\n")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert logs_in(server, name, PASSWORD)


def test_create_console_user_sets_the_password_of_a_user_without_one(server: Server, name: str) -> None:
    """Users created for API keys (as the compose example did) or by rebuild_catalog have no password."""
    server.create_api_key(name)
    password = json.loads(run(server, name, "--json").stdout)["password"]
    assert logs_in(server, name, password)
    assert query(
        server, "SELECT count(*) FROM post3_apikey k JOIN auth_user u ON u.id = k.user_id WHERE username = ?", [name]
    ) == [(1,)]


def test_create_console_user_keeps_an_existing_password(server: Server, name: str) -> None:
    run(server, name, "--password-file", "-", text=PASSWORD)
    done = run(server, name)
    assert done.returncode == 1 and "can log in already" in done.stderr and done.stderr.count("\n") == 1
    assert logs_in(server, name, PASSWORD)
    other = json.loads(run(server, name, "--reset", "--json").stdout)
    assert not other["created"] and logs_in(server, name, other["password"]) and not logs_in(server, name, PASSWORD)


@pytest.mark.parametrize(
    ("arguments", "text", "message"),
    [
        (["--password-file", "-"], "short", "too short"),
        (["--password-file", "-"], "password", "too common"),
        (["--password-file", "-"], "", "too short"),
        (["--password-file", "/nowhere/at/all"], "", "cannot be read"),
        (["--ask"], "", "no terminal"),
    ],
)
def test_create_console_user_reports_errors_in_one_line(
    server: Server, name: str, arguments: list[str], text: str, message: str
) -> None:
    done = run(server, name, *arguments, text=text)
    assert done.returncode == 1 and message in done.stderr and done.stderr.count("\n") == 1, done.stderr
    assert query(server, "SELECT count(*) FROM auth_user WHERE username = ?", [name]) == [(0,)]


@pytest.mark.parametrize("wrong", ["", "a b", "x" * 200, "a\x1b", "a/b"])
def test_create_console_user_refuses_invalid_names(server: Server, wrong: str) -> None:
    done = run(server, wrong)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and done.stderr.isascii(), done.stderr
    assert "\x1b" not in done.stderr
