"""Fuzzing with nearly valid inputs, by the million: parsers in process, then a running server.

    python -m tests.faults fuzz --inputs 1000000 --http 100000 --seed 7

Parsers may raise only S3Error. A server must not answer with 500 or 503. It must answer complete requests, and must
answer or close everything else within a time limit. It must log no traceback, and its memory must stay at the level
reached after the first tenth of the inputs. A finding names its input; `--seed 7 --first 123456 --inputs 1` reproduces
it (over HTTP: `--http 1`).
"""

import argparse
import contextlib
import os
import random
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from tests.benchmarks.stand import resident
from tests.servers import Server

from .fuzz_console import ConsoleFuzzer
from .fuzz_http import Fuzzer, HttpOutcome, Sender
from .stand import CONFIGURATIONS, stand

#: Number of parser inputs that a process handles before it reports.
BATCH = 2000
#: Memory may grow by this factor after the first tenth, plus this many bytes.
GROWTH, SLACK = 1.1, 16 << 20
#: Seconds until the worker deletes released blobs. Sources of copies are overwritten all the time.
GRACE = 60
SHOWN = 20

Say = Callable[[str], None]


def _prepare_process() -> None:
    """Set up Django in a process of the pool. No database is used there."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "post3_site.settings"
    import django

    django.setup()


def _batch(seed: str, first: int, count: int) -> tuple[Counter[str], list[str], int, int]:
    """Run a batch. Return the answers, the findings, this process's PID and its resident bytes."""
    from .fuzz_parsers import Outcome, fuzz_parsers

    outcome = Outcome()
    fuzz_parsers(seed, first, count, outcome)
    return outcome.answers, outcome.findings, os.getpid(), resident(os.getpid())


def run_parsers(seed: str, first: int, count: int, say: Say) -> list[str]:
    """Feed `count` inputs to the parsers, on all cores. Return the findings."""
    began, answers, findings = time.monotonic(), Counter[str](), []
    memory: dict[int, tuple[int, int]] = {}
    starts = range(first, first + count, BATCH)
    with _environment(), ProcessPoolExecutor(mp_context=get_context("spawn"), initializer=_prepare_process) as pool:
        batches = pool.map(_batch, [seed] * len(starts), starts, [min(BATCH, first + count - start) for start in starts])
        for number, (counted, found, process, size) in enumerate(batches):
            answers.update(counted)
            findings += found
            # For each process, the memory after a tenth of all inputs, and the memory now.
            begin = memory.get(process, (size, size))[0] if number > len(starts) // 10 else size
            memory[process] = (begin, size)
    findings += [_grown(*sizes) for sizes in memory.values() if _grown(*sizes)]
    say(f"parsers, seed {seed}: {count:,} inputs in {time.monotonic() - began:.0f} s, {len(findings)} findings")
    say(f"  answers: {', '.join(f'{name} {number:,}' for name, number in answers.most_common())}")
    say(f"  memory: {', '.join(f'{begin >> 20} to {end >> 20} MiB' for begin, end in memory.values())}")
    return findings


def run_http(server: Server, fuzzer: Sender, first: int, count: int, say: Say) -> list[str]:
    """Send `count` inputs to a server. Return the findings."""
    began, logged, tenth = time.monotonic(), len(server.log()), max(1, count // 10)
    fuzzer.run(first, tenth)
    begin = resident(server.pid)
    if count > tenth:
        fuzzer.run(first + tenth, count - tenth)
    outcome, end, seconds = fuzzer.outcome, resident(server.pid), time.monotonic() - began
    findings = outcome.findings + _complaints(server.log()[logged:])
    if grown := _grown(begin, end):
        findings.append(f"the server: {grown}")
    say(f"{fuzzer.title}, seed {fuzzer.seed}: {count:,} inputs in {seconds:.0f} s, {len(findings)} findings")
    say(f"  answers: {_told(outcome)}; the slowest after {outcome.slowest:.1f} s; memory {begin >> 20} to {end >> 20} MiB")
    return findings


def _told(outcome: HttpOutcome) -> str:
    return ", ".join(f"{status or 'closed'} {count:,}" for status, count in sorted(outcome.statuses.items()))


def _grown(begin: int, end: int) -> str:
    """Return a finding if memory has grown, otherwise ""."""
    return f"memory grew from {begin >> 20} to {end >> 20} MiB" if end > begin * GROWTH + SLACK else ""


def _complaints(log: str) -> list[str]:
    """Return the entries of a server's log that report one of its own faults.

    Django also logs tracebacks of refusals: hosts, lookups and forms by `django.security`, permissions as a warning.
    """
    entries = re.split(r"\n(?=[0-9]{4}-|\[[0-9]{4}-)", log)
    faults = [entry for entry in entries if "Traceback" in entry or (" ERROR " in entry and "failed" in entry)]
    refusals = (" django.security.", " WARNING django.request:")
    return [f"the server logged: {entry}" for entry in faults if not any(name in entry[:100] for name in refusals)]


@contextlib.contextmanager
def _environment() -> Iterator[None]:
    """Give the processes of the pool their own data directory and no other settings."""
    with tempfile.TemporaryDirectory(prefix="post3-fuzz-") as directory:
        kept = {name: os.environ.pop(name) for name in list(os.environ) if name == "DATABASE_URL" or name.startswith("POST3_")}
        os.environ["POST3_DATA_DIR"] = str(Path(directory))
        try:
            yield
        finally:
            del os.environ["POST3_DATA_DIR"]
            os.environ.update(kept)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults fuzz", description=__doc__.split("\n")[0])
    parser.add_argument("--inputs", type=int, default=1_000_000, help="total number of inputs (default: 1000000)")
    parser.add_argument("--http", type=int, default=100_000, help="how many of them are sent to the servers (default: 100000)")
    parser.add_argument("--console", type=int, default=20_000, help="more inputs for the servers' consoles (default: 20000)")
    parser.add_argument(
        "--configurations", default="sqlite-files,postgresql-blocks", metavar="NAME,…", help=", ".join(CONFIGURATIONS)
    )
    parser.add_argument("--runners", default="gunicorn-asgi,uvicorn", metavar="NAME,…", help="runners in tests/servers.py")
    parser.add_argument("--seed", default=str(random.SystemRandom().getrandbits(24)))
    parser.add_argument("--first", type=int, default=0, help="number of the first input (default: 0)")
    given = parser.parse_args(arguments)
    findings = []
    if given.inputs > given.http:
        findings += run_parsers(given.seed, given.first, given.inputs - given.http, _say)
    places = [(name, runner) for runner in given.runners.split(",") for name in given.configurations.split(",")]
    for place, (name, runner) in enumerate(places if given.http or given.console else []):
        count, console = (-(-total // len(places)) for total in (given.http, given.console))
        _say(f"=== {name}, {runner}")
        with stand(name, runner, grace=GRACE) as one:
            if count:
                findings += run_http(one.server, Fuzzer(one.client(), given.seed), given.first + place * count, count, _say)
            if console:
                fuzzer = ConsoleFuzzer(one.server, given.seed)
                findings += run_http(one.server, fuzzer, given.first + place * console, console, _say)
    for finding in findings[:SHOWN]:
        _say(finding)
    _say(f"{len(findings)} findings")
    return 1 if findings else 0


def _say(text: str) -> None:
    print(text, file=sys.stdout, flush=True)
