"""`python -m tests [pytest's arguments]`: every test, on SQLite and on PostgreSQL.

Tests over HTTP start servers of both kinds themselves. Those that use the catalogue in their own process run twice, with SQLite
and with PostgreSQL. All tests together are several runs of pytest, two at a time, because each waits for its servers half of the
time; those that kill, fill and measure run alone at the end. With paths, pytest runs them one after the other.

`--quick` runs the tests of `tests/quick.py` only, which need no PostgreSQL.
"""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from . import quick
from .cluster import create_database, private_cluster
from .interrupts import Terminated, run_program

ROOT = Path(__file__).resolve().parent.parent
#: Directories whose tests use the catalogue in their own process.
IN_PROCESS = ("tests/models", "tests/services", "tests/storage", "tests/contrib")
#: Directories of about half of the other tests, and of those that run alone.
WIRE = ("tests/operations", "tests/s3", "tests/clients", "tests/sdk", "tests/examples")
ALONE = ("tests/faults", "tests/benchmarks")
#: Runs of pytest at once.
AT_ONCE = 2
NOTHING_COLLECTED = 5
#: Seconds an interrupted run of pytest is given to stop its servers.
PATIENCE = 20


@dataclass(frozen=True, slots=True)
class Run:
    """One run of pytest."""

    title: str
    environment: dict[str, str]
    arguments: list[str]


@dataclass(frozen=True, slots=True)
class Result:
    """How many tests of a run passed, failed and skipped themselves, and how many were left out for which reason."""

    passed: int
    failed: int
    skipped: int
    left_out: Counter[str]


def main(arguments: Sequence[str]) -> int:
    os.chdir(ROOT)
    is_quick = "--quick" in arguments
    options, paths = split_paths([argument for argument in arguments if argument != "--quick"])
    base = {name: value for name, value in os.environ.items() if name != "DATABASE_URL" and not name.startswith("POST3_")}
    if is_quick:
        results = run_rounds([quick_runs(base, options, paths)])
    else:
        with database_server() as url:
            base["POST3_TEST_POSTGRESQL_URL"] = url
            results = run_rounds(rounds_of_paths(base, options, paths) if paths else rounds_of_all(base, options))
    passed, failed, skipped = (sum(getattr(one, name) for one in results) for name in ("passed", "failed", "skipped"))
    print(f"{passed} passed, {failed} failed, {skipped} skipped" + (left_out(results, paths) if is_quick else ""))
    return 0 if passed and not failed else 1


def run_rounds(rounds: list[list[Run]]) -> list[Result]:
    return [result for runs in rounds for result in run_together(runs)]


def quick_runs(base: dict[str, str], options: list[str], paths: list[str]) -> list[Run]:
    """Return the runs of a quick test: of these paths, or of all of `tests/quick.py`, side by side."""
    of_title = {"quick": paths} if paths else quick.PATHS
    return [Run(title, base, ["-p", quick.__name__, *options, *some]) for title, some in of_title.items()]


def left_out(results: list[Result], paths: list[str]) -> str:
    """Return what a quick test did not run, as the rest of its last line."""
    numbers = sum((result.left_out for result in results), Counter[str]())
    parts = [f"{count} {why}" for why, count in sorted(numbers.items())]
    if not paths:
        ran = [path for some in quick.PATHS.values() for path in some]
        parts += [path for path in everything() if not any(f"{one}/".startswith(f"{path}/") for one in ran)]
    return f"; left out: {', '.join(parts)} (`make test` runs them)" if parts else ""


def rounds_of_all(base: dict[str, str], options: list[str]) -> list[list[Run]]:
    """Return the runs of all tests: those of one round go on side by side."""
    others = [path for path in everything() if path not in (*WIRE, *ALONE)]
    return [
        [
            Run("everything else, SQLite in process", base, [*options, *others]),
            Run("S3 over HTTP", base, [*options, *WIRE]),
            Run("PostgreSQL in process", on_postgresql(base), [*options, *IN_PROCESS]),
        ],
        [Run("faults and benchmarks", base, [*options, *ALONE])],
    ]


def rounds_of_paths(base: dict[str, str], options: list[str], paths: list[str]) -> list[list[Run]]:
    """Return the runs of some tests, each a round of its own."""
    again = [path for path in paths if path.startswith(IN_PROCESS)]
    rounds = [[Run("SQLite in process, servers of both kinds", base, [*options, *paths])]]
    return rounds + ([[Run("PostgreSQL in process", on_postgresql(base), [*options, *again])]] if again else [])


def everything() -> list[str]:
    """Return the directories and modules of tests."""
    modules = list(Path("tests").glob("test_*.py"))
    return sorted(map(str, [*modules, *{path.parent for path in Path("tests").glob("*/test_*.py")}]))


def on_postgresql(base: dict[str, str]) -> dict[str, str]:
    return {**base, "DATABASE_URL": create_database(base["POST3_TEST_POSTGRESQL_URL"])}


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


def run_together(runs: list[Run]) -> list[Result]:
    """Run these, `AT_ONCE` at a time; return their results.

    A run that is alone prints as it goes on. Of several, each prints at its end.
    """
    waiting, running, results = list(runs), list[Running](), list[Result]()
    try:
        while waiting or running:
            while waiting and len(running) < AT_ONCE:
                running.append(Running(waiting.pop(0), alone=len(runs) == 1))
            for one in [one for one in running if one.process.poll() is not None]:
                running.remove(one)
                results.append(one.finish())
            time.sleep(0.1)
    except KeyboardInterrupt as interrupt:
        for one in running:
            one.end(told=not isinstance(interrupt, Terminated))
        raise
    return results


class Running:
    """A run of pytest that has been started."""

    def __init__(self, run: Run, *, alone: bool) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="post3-tests-")
        self._report, self._output = (Path(self._directory.name, name) for name in ("report.xml", "output"))
        self._run, self._alone = run, alone
        print(f"=== {run.title}{'' if alone else ' (begins)'}", flush=True)
        # A directory of its own, or pytest deletes what former runs left, thousands of files, at the end of each.
        temporary = Path(self._directory.name, "temporary")
        command = [sys.executable, "-m", "pytest", f"--junitxml={self._report}", f"--basetemp={temporary}", *run.arguments]
        with open(self._output, "wb") as output:
            self.process = subprocess.Popen(command, env=run.environment, stdout=None if alone else output)

    def finish(self) -> Result:
        """Print what it printed; return its result. A run that broke off counts as a failure."""
        if not self._alone:
            print(f"=== {self._run.title}", self._output.read_text(errors="replace"), sep="\n", flush=True)
        suites = ElementTree.parse(self._report).getroot().iter("testsuite") if self._report.exists() else []
        passed = failed = skipped = 0
        left_out = Counter[str]()
        for suite in suites:
            for entry in suite.iterfind("properties/property"):
                left_out[entry.get("name", "").removeprefix(quick.PROPERTY)] += int(entry.get("value", 0))
            count = {name: int(suite.get(name, 0)) for name in ("tests", "failures", "errors", "skipped")}
            failed += count["failures"] + count["errors"]
            skipped += count["skipped"]
            passed += count["tests"] - count["failures"] - count["errors"] - count["skipped"]
        if self.process.returncode not in (0, NOTHING_COLLECTED) and not failed:
            failed += 1
        self._directory.cleanup()
        return Result(passed, failed, skipped, left_out)

    def end(self, *, told: bool) -> None:
        """Let pytest stop its servers; a terminal has told it of Ctrl-C already, and a second one would cut that short."""
        for _ in range(2):
            if not told:
                self.process.send_signal(signal.SIGINT)
            told = False
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(PATIENCE)
                return
        self.process.kill()


if __name__ == "__main__":
    run_program(main)
