"""A mixed load for a long time, which must cause no error and no growth.

    python -m tests.faults soak --minutes 30 --configurations postgresql-blocks

32 connections put, overwrite, copy, read whole objects and ranges, list, upload in parts and delete. Each uses its own
keys, so every response is known in advance. The worker collects released blobs after a few seconds. The memory of the
server's processes, the number of database connections and the size of the database are measured all the time. At the
end, memory must be within a tenth of its size after a sixth of the time (five minutes of thirty), and the store must
not have grown beyond the effect of churn.
"""

import argparse
import hashlib
import os
import random
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from tests.benchmarks.stand import resident
from tests.helpers import query
from tests.raw import RawResponse

from .client import Client, NotSent, Unanswered, parts_document, upload_id_of
from .stand import Stand, stand

CONNECTIONS, KEYS = 32, 20
BUCKET = "soak"
KIB, MIB = 1 << 10, 1 << 20
SIZES = (100, 4 * KIB, 4 * KIB, 64 * KIB, 300 * KIB, 1200 * KIB)
#: Database connections: each gunicorn process (one per core) has 4 + 16 threads, each of which keeps a connection once
#: it needed one. The worker has two. Threads are started under load, so there may be more after an hour than after five
#: minutes, but a leak would have no limit.
MOST_CONNECTIONS = 20 * len(os.sched_getaffinity(0)) + 2
PART = 96 * KIB
#: Seconds until the worker deletes released blobs.
GRACE = 5
#: Maximum resident memory at the end, relative to the first part of the run, plus an allowance in bytes.
GROWTH, SLACK = 1.10, 8 * MIB
#: Maximum size of the store at the end, relative to the largest size in the first part of the run.
STORE_GROWTH = 1.5
SHOWN = 10


class Wrong(Exception):
    """A response is not the expected one."""


class Worker:
    """One connection and its keys, on its own thread. `counts`: operations by kind; `errors`: the failures."""

    def __init__(self, number: int, client: Client, seed: str, ended: threading.Event) -> None:
        self._thread = threading.Thread(target=self._run, name=f"soak-{number}", daemon=True)
        self.counts: Counter[str] = Counter()
        self.errors: list[str] = []
        self._client, self._ended, self._random = client, ended, random.Random(f"{seed}/{number}")
        self._prefix = f"c{number:02}/"
        self._source = self._random.randbytes(max(SIZES) + 4096)
        #: Key -> its body.
        self._there: dict[str, bytes] = {}

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        self._thread.join()

    def _run(self) -> None:
        kinds = {self._put: 6, self._get: 8, self._get_range: 4, self._head: 3, self._list: 2, self._delete: 3}
        kinds |= {self._copy: 2, self._multipart: 1}
        chosen = [kind for kind, weight in kinds.items() for _ in range(weight)]
        with closing(self._client):
            while not self._ended.is_set() and len(self.errors) <= SHOWN:
                kind = self._random.choice(chosen)
                name = kind.__name__.strip("_")
                try:
                    kind(f"{self._prefix}{self._random.randrange(KEYS):02}")
                    self.counts[name] += 1
                except (Wrong, NotSent, Unanswered, ValueError, KeyError) as error:
                    self.errors.append(f"{name}: {type(error).__name__}: {error}"[:500])

    def _ask(self, method: str, key: str, expected: int, *arguments: object) -> RawResponse:
        answer = self._client.call(method, key, *arguments)  # type: ignore[arg-type]
        if answer.status != expected:
            raise Wrong(f"{method} {key} was answered {answer.status} {answer.body[:300]!r}")
        return answer

    def _body(self) -> bytes:
        """Return bytes that were never sent before: random data with a unique prefix."""
        size = self._random.randint(16, self._random.choice(SIZES))
        start = self._random.randrange(4096)
        return self._random.randbytes(16) + self._source[start : start + size - 16]

    def _put(self, key: str) -> None:
        body = self._body()
        self._ask("PUT", key, 200, None, body)
        self._there[key] = body

    def _get(self, key: str) -> None:
        body = self._there.get(key)
        answer = self._ask("GET", key, 404 if body is None else 200)
        if body is not None and answer.body != body:
            raise Wrong(f"GET {key} returned {len(answer.body)} bytes that differ from the {len(body)} put")

    def _get_range(self, key: str) -> None:
        body = self._there.get(key)
        if body is None:
            return
        first = self._random.randrange(len(body))
        last = self._random.randrange(first, len(body))
        answer = self._ask("GET", key, 206, None, b"", {"range": f"bytes={first}-{last}"})
        if answer.body != body[first : last + 1]:
            raise Wrong(f"GET {key} of bytes {first} to {last} returned other bytes")

    def _head(self, key: str) -> None:
        body = self._there.get(key)
        answer = self._ask("HEAD", key, 404 if body is None else 200)
        if body is not None and answer.headers["content-length"] != str(len(body)):
            raise Wrong(f"HEAD {key} returned a length of {answer.headers['content-length']}, {len(body)} bytes were put")

    def _list(self, _: str) -> None:
        found = {key: size for key, (_, size) in self._client.names("objects", self._prefix)}
        if found != {key: len(body) for key, body in self._there.items()}:
            raise Wrong(f"the listing of {self._prefix} does not match the keys put")

    def _delete(self, key: str) -> None:
        self._ask("DELETE", key, 204)
        self._there.pop(key, None)

    def _copy(self, key: str) -> None:
        if not self._there:
            return
        source = self._random.choice(list(self._there))
        if source != key:
            self._ask("PUT", key, 200, None, b"", {"x-amz-copy-source": f"/{BUCKET}/{source}"})
            self._there[key] = self._there[source]

    def _multipart(self, key: str) -> None:
        upload = upload_id_of(self._ask("POST", key, 200, {"uploads": ""}))
        bodies = [self._random.randbytes(PART) for _ in range(2)]
        for number, body in enumerate(bodies, 1):
            self._ask("PUT", key, 200, {"partNumber": str(number), "uploadId": upload}, body)
        if self._random.random() < 0.3:
            self._ask("DELETE", key, 204, {"uploadId": upload})
            return
        etags = [hashlib.md5(body, usedforsecurity=False).hexdigest() for body in bodies]
        self._ask("POST", key, 200, {"uploadId": upload}, parts_document(etags))
        self._there[key] = b"".join(bodies)


@dataclass(frozen=True, slots=True)
class Look:
    """The server and its database at one moment. Sizes are in bytes, `seconds` since the start."""

    seconds: float
    memory: int
    connections: int
    store: int

    def __str__(self) -> str:
        return f"memory {self.memory / MIB:,.0f} MiB, {self.connections} database connections, store {self.store / MIB:,.0f} MiB"


@dataclass(slots=True)
class Result:
    """The counts of a run, and its problems."""

    counts: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    looks: list[Look] = field(default_factory=list)


def look(one: Stand, began: float) -> Look:
    """Measure now."""
    server, connections, size = one.server, 0, 0
    if one.cluster is not None:
        backends = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'"
        connections = query(server, f"{backends} AND pid <> pg_backend_pid()")[0][0]
        size = query(server, "SELECT pg_database_size(current_database())")[0][0]
    var = server.data_dir / "var"
    size += sum(_size(path) for path in var.rglob("*")) if var.exists() else 0
    return Look(time.monotonic() - began, resident(server.pid), connections, size)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:  # collected meanwhile
        return 0


def run(one: Stand, seconds: float, seed: str, say: Callable[[str], None], pause: float = 60.0) -> Result:
    """Put load on a running stand for `seconds`, measure every `pause` seconds, and return the result."""
    result, ended, began = Result(), threading.Event(), time.monotonic()
    with closing(Client(one.server, BUCKET)) as client:
        if client.call("PUT").status != 200:
            raise Wrong("the bucket could not be created")
    workers = [Worker(number, Client(one.server, BUCKET), seed, ended) for number in range(CONNECTIONS)]
    for worker in workers:
        worker.start()
    try:
        while time.monotonic() < began + seconds and not any(worker.errors for worker in workers):
            time.sleep(max(0.0, min(pause, began + seconds - time.monotonic())))
            seen = look(one, began)
            result.looks.append(seen)
            done = sum(worker.counts.total() for worker in workers)
            errors = sum(len(worker.errors) for worker in workers)
            say(f"{seen.seconds / 60:5.1f} min: {done:,} operations, {errors} errors, {seen}")
    finally:
        ended.set()
        for worker in workers:
            worker.join()
    for worker in workers:
        result.counts.update(worker.counts)
        result.problems += worker.errors
    return result


def judge(looks: Sequence[Look], seconds: float) -> list[str]:
    """Return the figures that have grown between a sixth of the time and its end."""
    early = [seen for seen in looks if seen.seconds <= seconds / 6] or list(looks[:1])
    first, last = early[-1], looks[-1]
    problems = []
    if last.memory > first.memory * GROWTH + SLACK:
        problems.append(f"memory grew from {first.memory / MIB:.0f} to {last.memory / MIB:.0f} MiB")
    if last.connections > MOST_CONNECTIONS:
        problems.append(f"{last.connections} database connections, more than the maximum of {MOST_CONNECTIONS}")
    if last.store > max(seen.store for seen in early) * STORE_GROWTH:
        problems.append(f"the store grew from {first.store / MIB:.0f} to {last.store / MIB:.0f} MiB")
    return problems


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults soak", description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=30.0, help="minutes for each configuration (default: 30)")
    parser.add_argument("--configurations", default="postgresql-blocks,sqlite-files", metavar="NAME,…")
    parser.add_argument("--runner", default="gunicorn-asgi", help="a runner in tests/servers.py")
    parser.add_argument("--seed", default=str(random.SystemRandom().getrandbits(24)))
    given = parser.parse_args(arguments)
    failed = 0
    for name in given.configurations.split(","):
        print(f"{name}, seed {given.seed}, {CONNECTIONS} connections", flush=True)
        with stand(name, given.runner, grace=GRACE) as one:
            result = run(one, given.minutes * 60, given.seed, lambda line: print(line, flush=True))
            problems = result.problems + judge(result.looks, given.minutes * 60)
            print("  " + ", ".join(f"{kind} {count:,}" for kind, count in sorted(result.counts.items())))
            print("\n".join(problems[:SHOWN]) or "  no errors, no growth", file=sys.stdout, flush=True)
            failed += bool(problems)
    return 1 if failed else 0
