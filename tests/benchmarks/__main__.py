"""`python -m tests.benchmarks [options]`: post3 compared with the limits of the machine it runs on (`make bench`).

Each round measures the machine's limits, then each configuration in turn: gunicorn with its workers, on a private
PostgreSQL cluster or on SQLite. Results are medians over the rounds, so a temporary disturbance affects all
configurations alike.
"""

import argparse
import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.cluster import create_database, drop_database, postmaster_pid, private_cluster
from tests.interrupts import run_program
from tests.servers import Server

from .bench import Bench, Measurement
from .limits import LIMITS, measure_limits
from .load import Outcome
from .processes import filesystem_of
from .report import Rounds, machine, short, with_unit, write
from .workloads import WORKLOADS, Workload

ROOT = Path(__file__).resolve().parents[2]
#: fsync and synchronous_commit stay on, as in all clusters of the tests: durability is part of the measurement.
POSTGRESQL = {"shared_buffers": "512MB", "max_wal_size": "4GB"}
CONFIGURATIONS = {
    "postgresql-blocks": {"POST3_STORAGE": "database"},
    "postgresql-files": {"POST3_STORAGE": "filesystem"},
    "sqlite-files": {"POST3_STORAGE": "filesystem"},
}
QUICK = ("put4k/8", "get4k/8", "list-page/8", "put64m/1", "get64m/1")


@dataclass(frozen=True, slots=True)
class Options:
    """What to measure, how many times and for how long."""

    workloads: list[Workload]
    configurations: list[str]
    rounds: int
    seconds: float
    #: Seconds for each limit.
    limit_seconds: float
    quick: bool
    output: Path


def parse(arguments: Sequence[str]) -> Options:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    kinds = list(dict.fromkeys(workload.kind for workload in WORKLOADS.values()))
    parser.add_argument("--only", metavar="WORK,…", help=f"from {', '.join(kinds)}; or with connections, like put4k/8")
    parser.add_argument("--configurations", metavar="NAME,…", help=f"from {', '.join(CONFIGURATIONS)}")
    parser.add_argument("--rounds", type=int, help="number of measurement rounds (default: 3)")
    parser.add_argument("--seconds", type=float, help="duration of each workload in each round (default: 3)")
    parser.add_argument("--quick", action="store_true", help="smoke test: one round of one second, few workloads and objects")
    parser.add_argument("--output", type=Path, help="directory of the results (docs/benchmarks, or build/benchmarks for a part)")
    given = parser.parse_args(arguments)
    chosen = given.only.split(",") if given.only else list(QUICK) if given.quick else kinds
    configurations = given.configurations.split(",") if given.configurations else list(CONFIGURATIONS)
    for name in chosen:
        if name not in WORKLOADS and name not in kinds:
            parser.error(f"unknown workload {name}")
    for name in configurations:
        if name not in CONFIGURATIONS:
            parser.error(f"unknown configuration {name}")
    # Published results come from complete runs. A partial run must not overwrite them.
    whole = not (given.only or given.quick or given.configurations)
    return Options(
        [workload for workload in WORKLOADS.values() if workload.name in chosen or workload.kind in chosen],
        configurations,
        given.rounds or (1 if given.quick else 3),
        given.seconds or (1 if given.quick else 3),
        0.2 if given.quick else 2,
        given.quick,
        given.output or ROOT / ("docs" if whole else "build") / "benchmarks",
    )


def main(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    with contextlib.ExitStack() as stack:
        url = ""
        if any(name.startswith("postgresql") for name in options.configurations):
            url = stack.enter_context(private_cluster(POSTGRESQL))
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="post3-benchmarks-")))
        benches = {name: stack.enter_context(bench(name, directory, url, options)) for name in options.configurations}
        rounds = Rounds(machine(_version(url) if url else "–", filesystem_of(directory)))
        rounds.machine |= {"rounds": options.rounds, "seconds": options.seconds}
        if rounds.machine["filesystem"] == "tmpfs":
            print("Files are in memory, so writes are not durable. Set TMPDIR to a directory on a disk.")
        table = ""
        for number in range(1, options.rounds + 1):
            print(f"=== Round {number} of {options.rounds}: limits", flush=True)
            rounds.add_limits(limits(options, directory, url))
            for configuration, one in benches.items():
                print(f"=== Round {number} of {options.rounds}: {configuration}", flush=True)
                for workload in options.workloads:
                    rounds.add(configuration, workload.name, measure(workload, one))
                one.tidy()
                if configuration.startswith("postgresql"):
                    _vacuum(one.server.environment["DATABASE_URL"])
            # After each round, so that an interrupted run keeps the results it has.
            table = write(rounds, options.output)
        print(f"\n{table}\n\nWritten to {os.path.relpath(options.output)}.")
        failed = [one for works in rounds.measurements.values() for them in works.values() for one in them if one.outcome.errors]
        return 1 if failed else 0


@contextlib.contextmanager
def bench(configuration: str, directory: Path, url: str, options: Options) -> Iterator[Bench]:
    """Start a server with a configuration. Always stop it and drop its database."""
    place = directory / configuration
    place.mkdir()
    # Without a grace period, so that `tidy` frees the data of a round. Nothing is reading it.
    environment = {**CONFIGURATIONS[configuration], "POST3_GARBAGE_GRACE_SECONDS": "0"}
    roots = []
    if configuration.startswith("postgresql"):
        environment["DATABASE_URL"] = create_database(url)
        roots.append(postmaster_pid(url))
    server = Server(place, environment, runner="gunicorn-asgi", anew=True)  # as in production
    try:
        server.start()
        one = Bench(server, [server.pid, *roots], options.seconds)
        if options.quick:
            one.small_objects, one.listed_keys = 200, 1000
        yield one
    finally:
        server.stop()
        if "DATABASE_URL" in environment:
            drop_database(url, environment["DATABASE_URL"])


def limits(options: Options, directory: Path, url: str) -> dict[str, float]:
    """Measure the limits, in a separate database if a configuration uses PostgreSQL."""
    database = create_database(url) if url else None
    try:
        values = measure_limits(options.limit_seconds, directory, database)
    finally:
        if database:
            drop_database(url, database)
    for name, value in values.items():
        print(f"{name:<18} {with_unit(value, LIMITS[name].unit):>14}   {LIMITS[name].title}", flush=True)
    return values


def measure(workload: Workload, one: Bench) -> Measurement:
    """Measure a workload and print a line.

    A workload that cannot be measured counts as an error, and the run continues.
    """
    try:
        measurement = workload.measure(one, workload.connections)
    except (OSError, RuntimeError) as error:
        measurement = Measurement(Outcome(0, 1, f"{type(error).__name__}: {error}", 0, 0, 0, 0, 0), 0, 0)
    outcome, each = measurement.outcome, 1 / max(1, measurement.outcome.operations)
    parts = [
        f"{workload.name:<18} {short(outcome.rate):>8}/s {short(outcome.megabytes_per_second):>6} MB/s",
        f"p50 {short(outcome.p50 * 1e3):>6} ms  p99 {short(outcome.p99 * 1e3):>6} ms",
        f"CPU: server {short(measurement.server_cpu * 1e3 * each):>6} ms, client {outcome.client_cpu * 1e6 * each:.0f} µs,"
        f" others {measurement.other_cores:.2f} cores",
        f"{outcome.errors} ERRORS: {outcome.first_error}" if outcome.errors else "",
    ]
    print("  ".join(parts).rstrip(), flush=True)
    return measurement


def _vacuum(url: str) -> None:
    """Make the space of collected blobs reusable now, rather than during another measurement."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def _version(url: str) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute("SHOW server_version").fetchone()
    return row[0].split()[0] if row else "?"


if __name__ == "__main__":
    run_program(main)
