"""`python -m tests [pytest's arguments]`: every test, on SQLite and on PostgreSQL.

Tests over HTTP start servers of both kinds themselves. Tests that use the catalogue in their own process run twice, on
SQLite and on PostgreSQL. Without paths, several runs of pytest share the tests (`sharing.py`), because each waits for
its servers half of the time. Tests that measure run alone at the end. With paths, one run of pytest runs all of them.

`--quick` runs only the tests in `quick.py`, which do not need PostgreSQL.
"""

import contextlib
import functools
import operator
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from . import quick, sharing
from .cluster import create_database, private_cluster
from .interrupts import Terminated, run_program

ROOT = Path(__file__).resolve().parent.parent
#: Directories whose tests use the catalogue in their own process.
IN_PROCESS = tuple(
    f"tests/{room}" for room in ("access", "admin", "api", "contrib", "maintenance", "models", "services", "storage", "telemetry")
)
#: Tests that measure, or whose deadlines are short. They run alone, after all others.
ALONE = (
    "tests/benchmarks",
    "tests/faults/test_database_outage.py",
    "tests/faults/test_graceful_stop.py",
    "tests/faults/test_soak.py",
    "tests/faults/test_wire_limits.py",
)
#: Runs of pytest at the same time: one for each processor, because servers keep processors busy too, but at least two.
AT_ONCE = max(2, min(os.cpu_count() or 1, 4))
#: Variables that the tests must not inherit. Without the second one, Python keeps compiled code, which hundreds of
#: processes use.
UNSET = ("DATABASE_URL", "PYTHONDONTWRITEBYTECODE")
#: Settings of the PostgreSQL that tests share. Tests of crashes and power cuts start clusters of their own, which sync.
QUICKER = {"fsync": "off", "full_page_writes": "off"}
#: pytest's exit status if there is no test.
NOTHING_COLLECTED = 5
#: Seconds that an interrupted run of pytest has to stop its servers.
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
    base = {name: value for name, value in os.environ.items() if name not in UNSET and not name.startswith("POST3_")}
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="post3-claims-") as claims:
        if is_quick:
            results = run_rounds([quick_runs(base, options, paths, Path(claims))])
        else:
            with database_server() as url:
                base["POST3_TEST_POSTGRESQL_URL"] = url
                rounds = rounds_of_paths(base, options, paths) if paths else rounds_of_all(base, options, Path(claims))
                results = run_rounds(rounds)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"=== {time.monotonic() - began:.0f} s, {used.ru_utime + used.ru_stime:.0f} s of processor time")
    passed, failed, skipped = (sum(getattr(one, name) for one in results) for name in ("passed", "failed", "skipped"))
    print(f"{passed} passed, {failed} failed, {skipped} skipped" + (left_out(results, paths) if is_quick else ""))
    return 0 if passed and not failed else 1


def run_rounds(rounds: list[list[Run]]) -> list[Result]:
    return [result for runs in rounds for result in run_together(runs)]


def quick_runs(base: dict[str, str], options: list[str], paths: list[str], claims: Path) -> list[Run]:
    """Return the runs of the quick tests: one for these paths, or several that share all of `quick.py`."""
    options = ["-p", quick.__name__, *options]
    return [Run("quick", base, [*options, *paths])] if paths else shared_runs("quick", base, options, quick.PATHS, claims)


def left_out(results: list[Result], paths: list[str]) -> str:
    """Return what the quick tests did not run, as the end of the last line."""
    # Runs that share tests each count all that is left out.
    numbers = functools.reduce(operator.or_, (result.left_out for result in results), Counter[str]())
    parts = [f"{count} {why}" for why, count in sorted(numbers.items())]
    if not paths:
        parts += [path for path in everything() if not any(f"{one}/".startswith(f"{path}/") for one in quick.PATHS)]
    return f"; left out: {', '.join(parts)} (`make test` runs them)" if parts else ""


def rounds_of_all(base: dict[str, str], options: list[str], claims: Path) -> list[list[Run]]:
    """Return the runs of all tests. The runs of a round go on side by side."""
    shared = [f"--ignore={path}" for path in ALONE] + [path for path in everything() if path not in ALONE]
    return [
        [
            *shared_runs("SQLite in process, servers of both kinds", base, options, shared, claims),
            *shared_runs("PostgreSQL in process", on_postgresql(base), options, IN_PROCESS, claims),
        ],
        [Run("benchmarks and deadlines", base, [*options, *ALONE])],
    ]


def shared_runs(title: str, base: dict[str, str], options: list[str], paths: Iterable[str], claims: Path) -> list[Run]:
    """Return as many runs as go on side by side. They share the tests in these paths."""
    environment = {**base, sharing.VARIABLE: tempfile.mkdtemp(dir=claims)}
    numbers = range(1, AT_ONCE + 1)
    return [Run(f"{title}, {number} of {AT_ONCE}", environment, ["-p", sharing.__name__, *options, *paths]) for number in numbers]


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
    """Yield the URL of the PostgreSQL on which tests create their databases.

    It is the server in POST3_TEST_POSTGRESQL_URL, which must be no newer than this machine's pg_dump and allow 400
    connections, or a private cluster.
    """
    if given := os.environ.get("POST3_TEST_POSTGRESQL_URL"):
        yield given
        return
    with private_cluster(QUICKER) as url:
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
        """Let pytest stop its servers. `told`: the terminal has sent SIGINT already; another would interrupt that."""
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
