"""Profile a server under full load with py-spy, which samples a running process from outside.

    python -m tests.benchmarks.profiling [--seconds 8] [--output docs/benchmarks]

8 connections keep gunicorn busy, with blocks in PostgreSQL. One of its processes is sampled, and of it only the thread
that holds Python's lock. Time spent waiting for a database, a disk or the lock does not count. Requires the right to
trace processes (root, or CAP_SYS_PTRACE). Writes `profile.md`.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.interrupts import run_program

from .bench import BUCKET, KIB, LIST_BUCKET, Bench
from .load import Outcome, Request, run
from .report import machine, paragraph
from .stand import CONNECTIONS, OUTPUT, ask, say, serving, tree

#: Samples per second, and seconds of load before the first one.
RATE, LEAD = 500, 1.0
#: The maximum number of functions in a table, and their minimum share of the samples.
ROWS, LEAST = 40, 0.015
#: The outer functions of every stack of a process or thread.
OUTER = re.compile(
    r"gunicorn|uvicorn_worker|<frozen runpy>|\(threading.py\)|asyncio/(runners|base_events|events)|_compat.py|Worker"
)


@dataclass(slots=True)
class Profile:
    """Stacks of one process with their counts, sampled for `seconds` at a rate of operations per second."""

    stacks: Counter[tuple[str, ...]]
    seconds: float
    rate: float

    @property
    def total(self) -> int:
        return self.stacks.total()

    def shares(self) -> tuple[Counter[str], Counter[str]]:
        """Return how often each function was on the stack, and how often it was the running one."""
        within, alone = Counter[str](), Counter[str]()
        for stack, count in self.stacks.items():
            alone[stack[-1]] += count
            for name in set(stack):
                within[name] += count
        return within, alone


def workloads(bench: Bench) -> dict[str, Callable[[float], list[Request]]]:
    """Return the profiled workloads: functions that return requests for so many seconds."""
    gets = [bench.get(key, number, 4 * KIB) for number, key in enumerate(bench.small)]
    delimited = {"list-type": "2", "delimiter": "/"}
    assert bench.listed
    return {
        "GET 4 KiB": lambda seconds: gets,
        "PUT 4 KiB": lambda seconds: bench.puts(int(4000 * seconds), 4 * KIB)[1],
        "LIST page": lambda seconds: [Request(bench.signer.head("GET", f"/{LIST_BUCKET}", {"list-type": "2"}))],
        "LIST with delimiter": lambda seconds: [Request(bench.signer.head("GET", f"/{LIST_BUCKET}", delimited))],
    }


def profile(bench: Bench, worker: int, requests: Sequence[Request], seconds: float) -> Profile:
    """Sample a process while requests are sent cyclically. Raises RuntimeError if a response is wrong."""
    outcomes: list[Outcome] = []
    server, load = bench.server, 2 * LEAD + seconds

    def send() -> None:
        outcomes.append(run(server.host, server.port, requests, CONNECTIONS, seconds=load))

    sender = threading.Thread(target=send)
    sender.start()
    time.sleep(LEAD)
    with tempfile.TemporaryDirectory(prefix="post3-profile-") as directory:
        found = Path(directory, "stacks")
        told = [
            "--pid",
            str(worker),
            "--duration",
            str(int(seconds)),
            "--rate",
            str(RATE),
            "--format",
            "raw",
            "--gil",
            "--nolineno",
        ]
        py_spy = Path(sys.executable).with_name("py-spy")
        done = subprocess.run([py_spy, "record", *told, "--output", found], capture_output=True, text=True)
        sender.join()
        if done.returncode:
            raise RuntimeError(f"py-spy: {done.stderr.strip()}")
        stacks = Counter[tuple[str, ...]]()
        for line in found.read_text().splitlines():
            names, _, count = line.rpartition(" ")
            stacks[tuple(names.split(";"))] += int(count)
    if outcomes[0].errors:
        raise RuntimeError(f"{outcomes[0].errors} wrong responses, the first to {outcomes[0].first_error}")
    return Profile(stacks, seconds, outcomes[0].rate)


def table_of(name: str, found: Profile) -> str:
    """Return a table of the functions found in most samples."""
    within, alone = found.shares()
    rows = [
        (count, function) for function, count in within.items() if count >= LEAST * found.total and not OUTER.search(function)
    ]
    rows.sort(reverse=True)
    lines = [
        f"## {name}",
        "",
        paragraph(
            f"{found.rate:,.0f} requests per second while sampled. One of the two processes held Python's lock "
            f"{found.total / found.seconds / RATE:.0%} of the time; that time is the 100 % of this table."
        ),
        "",
        "| function | total | self |",
        "| --- | ---: | ---: |",
    ]
    for count, function in rows[:ROWS]:
        lines.append(f"| `{function}` | {count / found.total:.1%} | {alone[function] / found.total:.1%} |")
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.profiling", description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args(arguments)
    with serving({}) as server:
        bench = Bench(server, [server.pid], options.seconds)
        *_, worker = tree(server.pid)
        version = ask(server, "SHOW server_version")[0][0].split()[0]
        tables = []
        for name, make in workloads(bench).items():
            say(name)
            tables.append(table_of(name, profile(bench, worker, make(options.seconds), options.seconds)))
            say(tables[-1])
        bench.ask("GET", f"/{BUCKET}", {"list-type": "2"})  # the server still responds
    told = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in machine(version, "").items() if value)
    heading = f"# Profile under load\n\n{paragraph(f'Generated by `python -m tests.benchmarks.profiling`: {told}.')}\n"
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "profile.md").write_text("\n\n".join([heading.rstrip(), *tables]) + "\n")
    return 0


if __name__ == "__main__":
    run_program(main)
