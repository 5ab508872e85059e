"""Linearizability: many clients on a few keys. Some order of all operations must explain every response.

    python -m tests.faults linearizability --operations 10000 --configurations postgresql-blocks

Each key is a register. An operation takes effect at one moment between its request and its response. The checker looks
for such moments (Wing & Gong's search, with Lowe's just-in-time linearization). It walks through the history and keeps
every configuration that is still possible: the register's value, and the running operations that have already taken
effect. When an operation ends, only those configurations remain in which it could take effect before its end. Each
write has a unique value, so that there are few configurations.
"""

import argparse
import contextlib
import random
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from ..helpers import etag_of
from ..raw import RawClient
from .stand import CONFIGURATIONS, stand
from .writers import BUCKET

CLIENTS, KEYS = 8, 3
#: Sizes of values in bytes: in one row, in more than one piece, in more than one block.
SIZES = (20, 20, 20, 20, 300_000, 1_100_000)
#: Seconds until overwritten bytes are deleted: longer than a read takes.
GRACE = 10
#: The value of a key without an object.
NOTHING = ""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of a history.

    `kind`: put, put-if-absent, put-if-match, get or delete. `value`: the value written, or found by a get. `expected`:
    the value that put-if-match requires. `done`: whether a conditional write took place. `end` is None if there was no
    response.
    """

    kind: str
    start: int
    end: int | None
    value: str = NOTHING
    expected: str = NOTHING
    done: bool = True

    def after(self, value: str) -> str | None:
        """Return the register's value after this operation on `value`, or None if the response rules this out."""
        if self.kind == "get":
            return value if value == self.value else None
        if self.kind == "delete":
            return NOTHING
        holds = {"put": True, "put-if-absent": value == NOTHING, "put-if-match": value == self.expected != NOTHING}[self.kind]
        if self.end is None:
            return self.value if holds else value
        if holds != self.done:
            return None
        return self.value if holds else value


def find_violation(history: Iterable[Operation], initial: str = NOTHING) -> Operation | None:
    """Return the first operation on a key whose response no order explains, or None if the history is linearizable."""
    operations = list(history)
    events = [(operation.start, 0, number) for number, operation in enumerate(operations)]
    events += [(operation.end, 1, number) for number, operation in enumerate(operations) if operation.end is not None]
    pending: set[int] = set()
    possible: set[tuple[str, frozenset[int]]] = {(initial, frozenset())}
    for _, is_end, number in sorted(events):
        if not is_end:
            pending.add(number)
            continue
        possible = _ended(operations, pending, possible, number)
        if not possible:
            return operations[number]
        pending.discard(number)
    return None


def _ended(
    operations: Sequence[Operation], pending: set[int], possible: set[tuple[str, frozenset[int]]], number: int
) -> set[tuple[str, frozenset[int]]]:
    """Return the configurations in which the operation, which has now ended, took effect. It is removed from them."""
    found: set[tuple[str, frozenset[int]]] = set()
    seen, waiting = set(possible), list(possible)
    while waiting:
        value, effective = waiting.pop()
        if number in effective:
            found.add((value, effective - {number}))
            continue
        for other in pending - effective:
            following = operations[other].after(value)
            if following is not None and (one := (following, effective | {other})) not in seen:
                seen.add(one)
                waiting.append(one)
    return found


class Client(threading.Thread):
    """A client that performs random operations on shared keys. Each is recorded with its times and response."""

    def __init__(self, number: int, client: RawClient, bucket: str, operations: int, seed: int) -> None:
        super().__init__()
        self.number, self.client, self.bucket, self.operations = number, client, bucket, operations
        self.chosen = random.Random(seed * 1000 + number)
        self.history: dict[str, list[Operation]] = defaultdict(list)
        self.seen: dict[str, str] = {}
        self.problems: list[str] = []
        self.failure: BaseException | None = None

    def run(self) -> None:
        kinds = ["get"] * 4 + ["put"] * 3 + ["put-if-match"] * 3 + ["put-if-absent"] * 2 + ["delete"]
        try:
            for count in range(self.operations):
                key, kind = f"key-{self.chosen.randrange(KEYS)}", self.chosen.choice(kinds)
                value = "" if kind in ("get", "delete") else f"{self.number}.{count}/"
                expected = self.seen.get(key, "no/") if kind == "put-if-match" else NOTHING
                operation = self.do(key, Operation(kind, time.monotonic_ns(), None, value, expected))
                self.history[key].append(operation)
                if operation.kind != "delete" and operation.done and operation.value:
                    self.seen[key] = operation.value
        except BaseException as error:
            self.failure = error
            raise

    def do(self, key: str, asked: Operation) -> Operation:
        """Send an operation and return it with its response."""
        method, headers = {"get": "GET", "delete": "DELETE"}.get(asked.kind, "PUT"), []
        body = self.body(asked.value) if method == "PUT" else b""
        if asked.kind == "put-if-absent":
            headers = [("If-None-Match", "*")]
        elif asked.kind == "put-if-match":
            headers = [("If-Match", etag_of(self.body(asked.expected)))]
        answer = self.client.send(method, f"/{self.bucket}/{key}", "", headers, body, payload_hash="UNSIGNED-PAYLOAD")
        assert answer is not None
        end = time.monotonic_ns()
        if asked.kind == "get" and answer.status == 200:
            value = answer.body[: answer.body.find(b"/") + 1].decode("latin-1")
            if answer.body != self.body(value) or answer.headers["etag"] != etag_of(answer.body):
                self.problems.append(f"{key}: {len(answer.body)} bytes that nobody wrote, or with a wrong ETag: {value!r}")
            return replace(asked, end=end, value=value)
        if answer.status in (200, 204) or (asked.kind == "get" and answer.status == 404):
            return replace(asked, end=end)
        refusals = {"put-if-absent": (409, 412), "put-if-match": (404, 409, 412)}
        if answer.status in refusals.get(asked.kind, ()):
            # 409: it collided with another write and had no effect. This does not reveal whether the condition held.
            return replace(asked, end=end, kind="refused" if answer.status == 409 else asked.kind, done=False)
        self.problems.append(f"{asked.kind} {key} was answered {answer.status} {answer.body[:300]!r}")
        return asked

    @staticmethod
    def body(value: str) -> bytes:
        """Return the body of a value, which also determines the size."""
        if not value:
            return b""
        size = SIZES[sum(value.encode()) % len(SIZES)]
        return (value.encode() * (size // len(value) + 1))[:size] if len(value) < size else value.encode()


@dataclass(slots=True)
class Result:
    """Results of a run: operations by kind, and violations."""

    counts: Counter[str]
    violations: list[str]
    seconds: float


def run(new_client: Callable[[], RawClient], bucket: str, operations: int, seed: int) -> Result:
    """Run this many operations in total on a bucket without these keys. Check the history of each key."""
    begun = time.monotonic()
    clients = [Client(number, new_client(), bucket, operations // CLIENTS, seed) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    for client in clients:
        if client.failure is not None:
            raise client.failure
    violations = [problem for client in clients for problem in client.problems]
    counts: Counter[str] = Counter()
    for key in sorted({key for client in clients for key in client.history}):
        history = [operation for client in clients for operation in client.history[key]]
        counts.update(operation.kind + ("" if operation.done else " (refused)") for operation in history)
        violation = find_violation(operation for operation in history if operation.kind != "refused")
        if violation is not None:
            near = [one for one in history if (one.end or violation.end) >= violation.start and one.start <= violation.end]
            violations.append(
                f"{key}: no order explains {violation}; concurrent operations:\n" + "\n".join(f"    {one}" for one in near)
            )
    return Result(counts, violations, time.monotonic() - begun)


def report(title: str, seed: int, result: Result) -> str:
    """Return a report of a run, as lines."""
    done = ", ".join(f"{kind} {count}" for kind, count in sorted(result.counts.items()))
    first = (
        f"{title}, seed {seed}: {result.counts.total()} operations of {CLIENTS} clients on {KEYS} keys in {result.seconds:.0f} s"
    )
    return "\n".join([first, f"  {done}", f"  {len(result.violations)} violations", *result.violations[:5]])


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults linearizability", description=__doc__.split("\n")[0])
    parser.add_argument("--operations", type=int, default=10_000, help="operations in each configuration (default: 10000)")
    parser.add_argument("--configurations", default=",".join(CONFIGURATIONS), metavar="NAME,…", help="default: all")
    parser.add_argument("--runner", default="gunicorn-asgi", help="a runner in tests/servers.py; gunicorn has several processes")
    parser.add_argument("--seed", type=int, default=None, help="determines the operations, but not their order")
    given = parser.parse_args(arguments)
    seed = given.seed if given.seed is not None else random.SystemRandom().getrandbits(24)
    failed = 0
    for configuration in given.configurations.split(","):
        with contextlib.ExitStack() as stack:
            one = stack.enter_context(stand(configuration, given.runner, grace=GRACE))
            one.client().send("PUT", f"/{BUCKET}")
            result = run(one.client, BUCKET, given.operations, seed)
            print(report(configuration, seed, result), flush=True)
            failed += bool(result.violations)
    return 1 if failed else 0
