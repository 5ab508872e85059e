"""The effect of a crowd of slow clients on other clients.

    python -m tests.benchmarks.crowd [--downloads 1000] [--uploads 200] [--output docs/benchmarks]

Measures request rates on 8 connections before, during and after many slow downloads and uploads of 64 MiB at 4 KiB per
second each, and the server's memory and database connections meanwhile. POST3_THREADS and POST3_UPLOAD_THREADS are read
from the environment. Writes `crowd.json` and `crowd.md`.
"""

import argparse
import hashlib
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from post3.conf import Settings
from tests.interrupts import run_program
from tests.servers import Server

from .load import Outcome, Request, run
from .signer import UNSIGNED_PAYLOAD
from .slow import Crowd, raise_limit
from .stand import (
    CONNECTIONS,
    OUTPUT,
    Line,
    Table,
    ask,
    facts_of,
    resident,
    say,
    send,
    serving,
    show,
    signer_of,
    tree,
    write,
)

KIB, MIB = 1024, 1024 * 1024
BUCKET, LARGE, SMALL_OBJECTS, LARGE_OBJECTS = "crowd", 64 * MIB, 1000, 4
#: Seconds after which memory is measured, once all slow clients are transferring; and the time allowed to get there.
MOMENTS, PATIENCE = (10, 40), 60
#: The target ratio of the GET rate with the crowd to the rate before; and of memory at the second moment to the first.
KEEPS, GROWS = 0.7, 1.1
OPERATIONS = ("GET 4 KiB", "PUT 4 KiB", "PUT 1 MiB")


@dataclass
class Watch:
    """The measurements taken so far."""

    server: Server
    seconds: float
    rounds: int
    rates: dict[str, dict[str, list[Outcome]]] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)
    connections: dict[str, int] = field(default_factory=dict)
    _puts: int = 0

    def __post_init__(self) -> None:
        self.signer = signer_of(self.server)

    def put(self, key: str, body: bytes) -> Request:
        digest = hashlib.sha256(body).hexdigest()
        return Request(self.signer.head("PUT", f"/{BUCKET}/{key}", None, digest, len(body)), body, length=0)

    def requests(self, operation: str) -> list[Request]:
        """Sign new requests, because signatures are valid for 15 minutes."""
        if operation == "GET 4 KiB":
            keys = [f"small/{number}" for number in range(SMALL_OBJECTS)]
            return [Request(self.signer.head("GET", f"/{BUCKET}/{key}"), length=4 * KIB, expected=body_of(key)) for key in keys]
        body = body_of(operation) * (1 if operation == "PUT 4 KiB" else MIB // (4 * KIB))
        count = 10_000 if operation == "PUT 4 KiB" else 500
        self._puts += count
        return [self.put(f"new/{number}", body) for number in range(self._puts - count, self._puts)]

    def measure(self, when: str, operation: str, rounds: int | None = None) -> None:
        """Measure a rate. Errors are part of the result: a server busy with a crowd may not respond at all."""
        for _ in range(rounds or self.rounds):
            outcome = run(self.server.host, self.server.port, self.requests(operation), CONNECTIONS, seconds=self.seconds)
            self.rates.setdefault(operation, {}).setdefault(when, []).append(outcome)
            say(f"{when}: {operation}: {outcome.rate:,.0f} per second, {outcome.errors} errors {outcome.first_error}")
            self.look(when)
            if outcome.errors:
                return  # a run without responses takes a minute

    def look(self, when: str) -> None:
        """Count the server's database connections, and keep the maximum."""
        statement = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        count = ask(self.server, f"{statement} AND backend_type = 'client backend'")[0][0]
        self.connections[when] = max(count, self.connections.get(when, 0))

    def remember_memory(self, when: str) -> None:
        self.memory[when] = resident(self.server.pid)
        say(f"{when}: {self.memory[when] / MIB:,.0f} MiB resident")


def body_of(name: str) -> bytes:
    return hashlib.shake_128(name.encode()).digest(4 * KIB)


def main(arguments: list[str]) -> int:
    """Measure and report. Return 1 if a target was missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.crowd", description=__doc__.split("\n")[0])
    parser.add_argument("--downloads", type=int, default=1000)
    parser.add_argument("--uploads", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="duration of each measurement")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args(arguments)
    raise_limit()
    threads = {f"POST3_{name}": _threads(name) for name in ("THREADS", "UPLOAD_THREADS")}
    with serving({name: str(number) for name, number in threads.items()}) as server:
        facts = facts_of(server)
        watch = Watch(server, options.seconds, options.rounds)
        server.client().create_bucket(Bucket=BUCKET)
        send(server, [watch.put(f"small/{number}", body_of(f"small/{number}")) for number in range(SMALL_OBJECTS)])
        whole = body_of("large") * (LARGE // (4 * KIB))
        send(server, [watch.put(f"large/{number}", whole) for number in range(LARGE_OBJECTS)], connections=1)
        del whole
        for operation in OPERATIONS:
            watch.measure("before", operation)
        watch.remember_memory("before")
        state = _with_crowd(watch, options.downloads, options.uploads)
        workers = len(list(tree(server.pid))) - 1
        facts |= {"workers": workers, **{name.lower(): number for name, number in threads.items()}}
        state["bound"] = workers * sum(threads.values())
        _wait_until_gone(server.port)
        for operation in OPERATIONS:
            watch.measure("after", operation, 1)
        watch.remember_memory("after")
    tables = [_rates_table(watch), _state_table(watch, state, options)]
    for table in tables:
        show(table)
    rates = {name: {when: [asdict(one) for one in those] for when, those in found.items()} for name, found in watch.rates.items()}
    data = {"crowd": state, "rates": rates, "memory": watch.memory, "connections": watch.connections}
    write(options.output, "crowd", "A crowd of slow clients", facts, tables, data)
    return 0 if all(line.met is not False for table in tables for line in table.lines) else 1


def _threads(name: str) -> int:
    # Not through `conf`, which requires Django to be set up.
    return int(os.environ.get(f"POST3_{name}", vars(Settings)[name].default))


def _with_crowd(watch: Watch, downloads: int, uploads: int) -> dict[str, Any]:
    """Connect the slow clients and measure while they are active. Return their final state."""
    server, signer = watch.server, watch.signer
    gets = [signer.head("GET", f"/{BUCKET}/large/{number % LARGE_OBJECTS}") for number in range(downloads)]
    puts = [signer.head("PUT", f"/{BUCKET}/slow/{number}", None, UNSIGNED_PAYLOAD, LARGE) for number in range(uploads)]
    start = time.monotonic()
    crowd = Crowd(server.host, server.port, gets, puts)
    try:
        watch.measure("opening", "GET 4 KiB", 1)
        accepted_at = _wait_for(crowd, server.port, downloads, uploads)
        opened = time.monotonic()
        # Until then the server may still be filling the kernel's buffers of all downloads at full speed.
        _sleep_until(opened + MOMENTS[0])
        watch.remember_memory(f"crowd, {MOMENTS[0]} s")
        watch.measure("crowd", "GET 4 KiB")
        watch.measure("crowd", "PUT 4 KiB")
        _sleep_until(opened + MOMENTS[1])
        watch.remember_memory(f"crowd, {MOMENTS[1]} s")
        state = {
            "accepted_in_seconds": accepted_at - start,
            "opened_in_seconds": opened - start,
            "accepted": accepted(server.port),
            # Bytes that are being stored have a blob in state 0, pending.
            "uploads_with_a_thread": ask(server, "SELECT count(*) FROM post3_blob WHERE state = 0")[0][0],
            **crowd.latest,
        }
        # Last, because there may be no response for a minute.
        watch.measure("crowd", "PUT 1 MiB", 1)
        state["at_the_end"] = crowd.latest
        state["seconds"] = time.monotonic() - opened
        watch.look("crowd")
        return state
    finally:
        crowd.close()


def _wait_for(crowd: Crowd, port: int, downloads: int, uploads: int) -> float:
    """Wait until all clients transfer bytes. Return the time when the server had accepted all connections.

    Raises RuntimeError after PATIENCE seconds.
    """
    deadline, accepted_at = time.monotonic() + PATIENCE, 0.0
    while time.monotonic() < deadline and crowd.running:
        if not accepted_at and accepted(port) >= downloads + uploads:
            accepted_at = time.monotonic()
        state = crowd.latest
        flowing = state and (state["download"]["under_way"], state["upload"]["under_way"]) == (downloads, uploads)
        if flowing and accepted_at:
            return accepted_at
        time.sleep(0.1)
    raise RuntimeError(f"not all slow clients are transferring after {PATIENCE} s: {accepted(port)} accepted, {crowd.latest}")


def _wait_until_gone(port: int) -> None:
    """Wait until the server has closed the slow clients' connections. Raises RuntimeError."""
    deadline = time.monotonic() + PATIENCE
    while left := accepted(port):
        if time.monotonic() > deadline:
            raise RuntimeError(f"{left} connections are still open {PATIENCE} s after their clients disconnected")
        time.sleep(0.1)


def accepted(port: int) -> int:
    """Count the connections accepted by the server on this port. Queued connections do not belong to a process yet."""
    with open("/proc/net/tcp") as file:
        entries = [line.split() for line in file.readlines()[1:]]
    # 01: established. 08: closed by the client, but not by the server.
    held = [entry for entry in entries if entry[1].endswith(f":{port:04X}") and entry[3] in ("01", "08") and entry[9] != "0"]
    return len(held)


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.monotonic()))


def _rates_table(watch: Watch) -> Table:
    table = Table("Operations per second at 8 connections, medians")
    for operation, found in watch.rates.items():
        rate = {when: median(outcome.rate for outcome in those) for when, those in found.items()}
        kept = rate["crowd"] / rate["before"]
        judged = operation == "GET 4 KiB"
        # All columns are needed, even for operations that were not measured while the crowd opened.
        line = Line(operation, {"before": rate["before"], "opening": rate.get("opening", ""), **rate, "crowd / before": kept})
        if judged:
            line.target, line.met = f"above {KEEPS}", kept > KEEPS
        answered = {when: those for when, those in found.items() if any(outcome.operations for outcome in those)}
        slowest = {when: median(outcome.p99 * 1e3 for outcome in those) for when, those in answered.items()}
        table.lines += [line, Line(f"{operation}, p99 in ms", slowest)]
        errors = {when: sum(outcome.errors for outcome in those) for when, those in found.items()}
        for when in (when for when in errors if errors[when]):
            told = next(outcome.first_error for outcome in found[when] if outcome.errors)
            table.notes.append(f"{operation}, {when}: {errors[when]} requests failed, the first: {told}")
    return table


def _state_table(watch: Watch, state: dict[str, Any], options: argparse.Namespace) -> Table:
    """Report memory, connections and the state of the slow clients."""
    table = Table("The server during the test")
    memory = {when: size / MIB for when, size in watch.memory.items()}
    first, second = (memory[f"crowd, {moment} s"] for moment in MOMENTS)
    flat = Line("Resident memory of all processes, MiB", {when: round(size) for when, size in memory.items()})
    flat.target, flat.met = f"{MOMENTS[1]} s within {GROWS} of {MOMENTS[0]} s", second <= first * GROWS
    most = max(watch.connections.values())
    held = Line("Database connections, peak", {"before": watch.connections["before"], f"crowd, {MOMENTS[1]} s": most})
    held.target, held.met = f"at most {state['bound']}", most <= state["bound"]
    table.lines += [flat, held]
    download, upload, end = state["download"], state["upload"], state["at_the_end"]
    waiting = options.uploads - state["uploads_with_a_thread"]
    per_download = (first - memory["before"]) / max(1, options.downloads)
    trouble = end["download"]["in_trouble"] + end["upload"]["in_trouble"]
    table.notes += [
        f"The server accepted {state['accepted']} connections in {state['accepted_in_seconds']:.1f} s, "
        f"and all of them had transferred bytes after {state['opened_in_seconds']:.1f} s. "
        f"After {MOMENTS[1]} s, {download['under_way']} downloads had received {download['bytes'] / MIB:,.0f} MiB, "
        f"and {upload['under_way']} uploads had sent {upload['bytes'] / MIB:,.0f} MiB. "
        f"Memory grew by {per_download:.2f} MiB per download.",
        f"{state['uploads_with_a_thread']} uploads were being stored; {waiting} were waiting for an upload thread.",
        f"After {state['seconds']:.0f} s, {trouble} slow clients had problems{': ' + end['problem'] if trouble else ''}. "
        f"Their process used {end['cpu'] / (state['seconds'] + state['opened_in_seconds']):.0%} of a core.",
    ]
    return table


if __name__ == "__main__":
    run_program(main)
