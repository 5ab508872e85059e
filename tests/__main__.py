"""`python -m tests [pytest's arguments]`: every test, on SQLite and on PostgreSQL.

Two runs of pytest: all tests, with SQLite as the catalogue of those that run in this process; then those that do once more
on PostgreSQL. Tests over HTTP are in the first run only, because they start servers of both kinds themselves.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from xml.etree import ElementTree

from .cluster import create_database, private_cluster
from .interrupts import Terminated, run_program

ROOT = Path(__file__).resolve().parent.parent
#: Directories whose tests use the catalogue in their own process.
IN_PROCESS = ("tests/models", "tests/services", "tests/storage", "tests/contrib")
NOTHING_COLLECTED = 5
#: Seconds an interrupted run of pytest is given to stop its servers.
PATIENCE = 20


def main(arguments: Sequence[str]) -> int:
    os.chdir(ROOT)
    options, paths = split_paths(arguments)
    again = (
        [path for path in paths if path.startswith(IN_PROCESS)] if paths else [path for path in IN_PROCESS if Path(path).is_dir()]
    )
    base = {name: value for name, value in os.environ.items() if name != "DATABASE_URL" and not name.startswith("POST3_")}
    with database_server() as url, tempfile.TemporaryDirectory(prefix="post3-tests-") as reports:
        base["POST3_TEST_POSTGRESQL_URL"] = url
        runs = [("SQLite in process, servers of both kinds", base, paths or ["tests"])]
        if again:
            runs.append(("PostgreSQL in process", {**base, "DATABASE_URL": create_database(url)}, again))
        results = []
        for number, (title, environment, chosen) in enumerate(runs):
            print(f"=== {title}", flush=True)
            report = Path(reports, f"{number}.xml")
            results.append(run_pytest([*options, *chosen], environment, report))
    passed, failed = (sum(counts) for counts in zip(*results, strict=True))
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


@contextlib.contextmanager
def database_server() -> Iterator[str]:
    """Yield the URL of the PostgreSQL that tests make their databases in: the service that POST3_TEST_POSTGRESQL_URL names
    (one as old as this machine's pg_dump, to which it lends up to 400 connections), or a cluster of our own."""
    if given := os.environ.get("POST3_TEST_POSTGRESQL_URL"):
        yield given
        return
    with private_cluster() as url:
        yield url


def split_paths(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Split pytest's arguments into options and paths of tests (`tests/x.py::test_y` is one)."""
    paths = [text for text in arguments if not text.startswith("-") and Path(text.split("::")[0]).exists()]
    return [text for text in arguments if text not in paths], [os.path.relpath(path) for path in paths]


def run_pytest(arguments: list[str], environment: dict[str, str], report: Path) -> tuple[int, int]:
    """Run pytest; return how many tests passed and failed. A run that broke off counts as a failure."""
    command = [sys.executable, "-m", "pytest", f"--junitxml={report}", *arguments]
    with subprocess.Popen(command, env=environment) as process:
        try:
            status = process.wait()
        except KeyboardInterrupt as interrupt:
            _end(process, told=not isinstance(interrupt, Terminated))
            raise
    suites = ElementTree.parse(report).getroot().iter("testsuite") if report.exists() else []
    passed = failed = 0
    for suite in suites:
        count = {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
        failed += count["failures"] + count["errors"]
        passed += count["tests"] - count["failures"] - count["errors"] - count["skipped"]
    if status not in (0, NOTHING_COLLECTED) and not failed:
        failed += 1
    return passed, failed


def _end(process: subprocess.Popen[bytes], *, told: bool) -> None:
    """Let pytest stop its servers; a terminal has told it of Ctrl-C already, and a second one would cut that short."""
    for _ in range(2):
        if not told:
            process.send_signal(signal.SIGINT)
        told = False
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(PATIENCE)
            return
    process.kill()


if __name__ == "__main__":
    run_program(main)
