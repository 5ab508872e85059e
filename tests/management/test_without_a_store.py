"""Commands and servers that lack a store, tables, current tables or a database print one sentence each."""

import os
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from .. import starting
from ..cluster import create_database, drop_database
from ..servers import ROOT, Server, free_port

COMMANDS = {
    "check_storage": "check_storage",
    "collect_garbage": "collect_garbage",
    "create_api_key": "create_api_key --user a --create-user",
    "list_api_keys": "list_api_keys --json",
    "rebuild_catalog": "rebuild_catalog",
    "revoke_api_key": "revoke_api_key P3",
    "run_worker": "run_worker",
    "run_worker --once": "run_worker --once",
}
DJANGOS = {"createsuperuser": "createsuperuser", "shell": "shell", "flush": "flush --no-input", "dbshell": "dbshell"}
WORKER = "post3_site.worker.Worker"
SERVERS = {
    "uvicorn": "-m uvicorn --port {port} post3_site.asgi:application",
    "gunicorn": f"-m gunicorn -c python:post3_site.gunicorn -w 3 -k {WORKER} -b 127.0.0.1:{{port}} post3_site.asgi:application",
}
SECRET = "only-for-tests-" + "0123456789" * 4
POSTGRESQL_URL = os.environ.get("POST3_TEST_POSTGRESQL_URL", "")


def environment_of(directory: Path, **values: str) -> dict[str, str]:
    """Return an environment with its store in this directory."""
    inherited = {key: text for key, text in os.environ.items() if key != "DATABASE_URL" and not key.startswith("POST3_")}
    own = {"PYTHONPATH": str(ROOT), "POST3_DATA_DIR": str(directory / "var"), "POST3_CONSOLE_HOST": f"127.0.0.1:{free_port()}"}
    return {**inherited, **own, **values}


def run(arguments: str, directory: Path, **values: str) -> subprocess.CompletedProcess[str]:
    """Run `python ...` or a `post3` command in a directory."""
    command = arguments if arguments.startswith("-m") else f"-m post3_site {arguments}"
    environment = environment_of(directory, **values)
    return starting.run(*command.format(port=free_port()).split(), environment=environment, directory=directory, timeout=60)


def assert_one_sentence(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    assert done.returncode not in (0, None)
    said = done.stdout + done.stderr
    assert "Traceback" not in said
    lines = [line for line in said.splitlines() if line and line != "post3 does not start:" and "[INFO]" not in line]
    assert len(lines) == 1, said
    assert all(part in lines[0] for part in parts), lines[0]


@pytest.mark.parametrize(
    ("way", "is_made"),
    [*((way, False) for way in (*COMMANDS, *DJANGOS, *SERVERS)), *((way, True) for way in ("list_api_keys", "shell", *SERVERS))],
)
def test_without_a_store_one_sentence_names_the_setting_and_nothing_is_created(way: str, is_made: bool, tmp_path: Path) -> None:
    if is_made:
        (tmp_path / "var").mkdir()
    done = run({**COMMANDS, **DJANGOS, **SERVERS}[way], tmp_path)
    assert_one_sentence(done, "POST3_DATA_DIR", "migrate", str(tmp_path / "var"))
    assert list(tmp_path.rglob("*")) == ([tmp_path / "var"] if is_made else [])


@pytest.mark.parametrize("command", ["check", "makemigrations --check --dry-run", "help", "--version", "serve --help"])
def test_commands_that_need_no_store_create_none(command: str, tmp_path: Path) -> None:
    done = run(command, tmp_path)
    assert (done.returncode, done.stderr, list(tmp_path.rglob("*"))) == (0, "", [])


def empty_database(kind: str, directory: Path) -> dict[str, str]:
    if kind == "postgresql":
        return {"DATABASE_URL": create_database(POSTGRESQL_URL), "POST3_SECRET_KEY": SECRET}
    (directory / "var").mkdir()
    (directory / "var" / "catalogue.sqlite3").touch(mode=0o600)
    return {"POST3_SECRET_KEY": SECRET}


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_without_tables_one_sentence_names_migrate(kind: str, tmp_path: Path) -> None:
    environment = empty_database(kind, tmp_path)
    try:
        for arguments in (*COMMANDS.values(), *SERVERS.values()):
            assert_one_sentence(run(arguments, tmp_path, **environment), "migrate")
    finally:
        if kind == "postgresql":
            drop_database(POSTGRESQL_URL, environment["DATABASE_URL"])


@pytest.mark.parametrize("change", ["DELETE FROM django_migrations WHERE name LIKE '0007%'", "INSERT"])
def test_tables_of_another_release_are_reported(change: str, tmp_path: Path) -> None:
    assert run("migrate -v 0", tmp_path).returncode == 0
    insert = "INSERT INTO django_migrations (app, name, applied) VALUES ('post3', '9999_from_the_future', '2030-01-01')"
    with sqlite3.connect(tmp_path / "var" / "catalogue.sqlite3") as database:
        database.execute(insert if change == "INSERT" else change)
    database.close()
    part = "newer release" if change == "INSERT" else "migrate"
    for arguments in COMMANDS.values():
        assert_one_sentence(run(arguments, tmp_path), part)
    if change != "INSERT":
        for arguments in SERVERS.values():
            assert_one_sentence(run(arguments, tmp_path), part)


@pytest.mark.parametrize("way", [way for way in COMMANDS if way != "run_worker"])
def test_an_unreachable_database_is_one_sentence(way: str, tmp_path: Path) -> None:
    url = f"postgresql://nobody@127.0.0.1:{free_port()}/none"
    assert_one_sentence(run(COMMANDS[way], tmp_path, DATABASE_URL=url, POST3_SECRET_KEY=SECRET), "database")


def test_the_worker_waits_for_a_database_that_is_unreachable_at_its_start(tmp_path: Path) -> None:
    url = f"postgresql://nobody@127.0.0.1:{free_port()}/none"
    environment = environment_of(tmp_path, DATABASE_URL=url, POST3_SECRET_KEY=SECRET)
    with open(tmp_path / "log", "wb") as log:
        command = [sys.executable, "-m", "post3_site", "run_worker"]
        worker = subprocess.Popen(command, cwd=tmp_path, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 60
        while "next try in 2 s" not in (tmp_path / "log").read_text():
            assert worker.poll() is None and time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.1)
    finally:
        worker.terminate()
        assert worker.wait(30) == 0
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_a_lost_secret_of_a_catalogue_is_reported(tmp_path: Path) -> None:
    assert run("migrate -v 0", tmp_path).returncode == 0
    (tmp_path / "var" / "secret_key").unlink()
    for arguments in ("list_api_keys", "migrate", "serve", *SERVERS.values()):
        assert_one_sentence(run(arguments, tmp_path), "POST3_SECRET_KEY", "secret_key")
    assert not (tmp_path / "var" / "secret_key").exists()


def test_a_wrong_secret_is_reported(tmp_path: Path) -> None:
    assert run("migrate -v 0", tmp_path).returncode == 0
    create = COMMANDS["create_api_key"]
    assert "does not decrypt" not in run(create, tmp_path).stderr
    wrong = run(create, tmp_path, POST3_SECRET_KEY=SECRET)
    assert wrong.returncode == 0 and "does not decrypt API key P3" in wrong.stderr
    kept = (tmp_path / "var" / "secret_key").read_text().strip()
    rotated = run(create, tmp_path, POST3_SECRET_KEY=SECRET, POST3_SECRET_KEY_FALLBACKS=kept)
    assert "does not decrypt" not in rotated.stderr


def test_readiness_names_migrate_if_tables_are_missing(make_server: Callable[..., Server]) -> None:
    server = make_server("sqlite-files")
    with sqlite3.connect(server.data_dir / "var" / "catalogue.sqlite3") as database:
        database.execute("DELETE FROM django_migrations WHERE app = 'post3' AND name LIKE '0007%'")
    database.close()
    assert not server.is_ready()
    assert "migrate" in server.log()


@pytest.mark.parametrize(
    ("command", "signum", "seconds"),
    [
        *(("serve", signal.SIGINT, seconds) for seconds in (0.2, 0.5, 1.0, 1.6, 2.5)),
        *(("serve", signal.SIGTERM, seconds) for seconds in (0.5, 1.6)),
        ("migrate", signal.SIGINT, 0.7),
        ("run_worker", signal.SIGINT, 0.7),
        ("run_worker", signal.SIGTERM, 1.2),
    ],
)
def test_ctrl_c_in_the_first_seconds_is_quiet(command: str, seconds: float, signum: signal.Signals, tmp_path: Path) -> None:
    if command == "run_worker":
        assert run("migrate -v 0", tmp_path).returncode == 0
    inherited = {key: text for key, text in os.environ.items() if key != "DATABASE_URL" and not key.startswith("POST3_")}
    environment = {**inherited, "PYTHONPATH": str(ROOT), "POST3_HOST": f"127.0.0.1:{free_port()}"}
    with open(tmp_path / "log", "w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "post3_site", command],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        time.sleep(seconds)
        os.killpg(process.pid, signum)  # as a terminal does, signal the whole foreground process group
        assert process.wait(30) in (0, 130, -signum)
    said = (tmp_path / "log").read_text()
    assert "Traceback" not in said and "Error" not in said, said
    assert not re.findall(r"\.secret_key-", str(list(tmp_path.rglob("*"))))
    assert run("migrate -v 0", tmp_path).returncode == 0, "the interrupted migration can be resumed"
