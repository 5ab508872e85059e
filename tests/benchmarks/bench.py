"""A server under load: the objects that workloads read, created on first use, and the cost of a measurement."""

import functools
import hashlib
import os
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.raw import read_response
from tests.servers import Server

from .load import Outcome, Request, run
from .processes import machine_cpu, tree_cpu
from .signer import UNSIGNED_PAYLOAD, Signer

KIB, MIB = 1024, 1024 * 1024
BUCKET, LIST_BUCKET = "bench", "bench-list"
#: Objects of 1 MiB and of 64 MiB that GET and ranges read.
MEDIUM_OBJECTS, LARGE_OBJECTS = 32, 2
#: Keys in each folder of the listed bucket.
FOLDER_SIZE = 100
#: The maximum number of different bodies of one size. Larger sizes have fewer, because each body must be hashed to be
#: signed.
VARIETY = 2000
#: Connections used to put objects when nothing is timed, so that they share flushes to disk.
FILLING = 32
#: Seconds of load before a timed run, which fills caches and opens connections; and seconds of rest before that.
WARM_UP, REST = 0.3, 0.2


@dataclass(slots=True)
class Measurement:
    """An outcome, the server's CPU seconds, and the number of cores kept busy by unrelated processes (ideally 0)."""

    outcome: Outcome
    server_cpu: float
    other_cores: float


class Meter:
    """Reads CPU times when it is created and when it is stopped."""

    def __init__(self, roots: Sequence[int]) -> None:
        self._roots = roots
        self._server, self._machine, self._clock = tree_cpu(roots), machine_cpu(), time.perf_counter()

    def stop(self, outcome: Outcome) -> Measurement:
        elapsed = time.perf_counter() - self._clock
        machine, server = machine_cpu() - self._machine, tree_cpu(self._roots) - self._server
        return Measurement(outcome, server, max(0.0, machine - server - outcome.client_cpu) / elapsed)


@dataclass
class Bench:
    """A running server and its contents. The CPU time of `roots` and their descendants counts as the server's."""

    server: Server
    roots: list[int]
    #: Seconds of load in one timed run.
    seconds: float
    #: Number of 4 KiB objects that GET and HEAD read, and of keys in the listed bucket.
    small_objects: int = 2000
    listed_keys: int = 10_000
    #: Keys of 4 KiB objects that nothing reads, for DELETE.
    spare_keys: list[str] = field(default_factory=list)
    #: Keys of large objects, to be deleted after the round.
    large_keys: list[str] = field(default_factory=list)
    _keys_made: int = 0

    def __post_init__(self) -> None:
        self.signer = Signer(self.server.host, self.server.port, self.server.access_key, self.server.secret_key)
        for bucket in (BUCKET, LIST_BUCKET):
            self.ask("PUT", f"/{bucket}")

    def run(self, requests: Sequence[Request], connections: int, seconds: float | None = None) -> Outcome:
        """Send each request once, for at most `seconds`. Raises RuntimeError if a response is wrong."""
        count = len(requests)
        outcome = run(self.server.host, self.server.port, requests, connections, seconds=seconds, count=count)
        if outcome.errors:
            raise RuntimeError(f"{outcome.errors} wrong responses before the measurement, the first to {outcome.first_error}")
        return outcome

    def warm_up(self, requests: Sequence[Request], connections: int) -> Outcome:
        return self.run(requests, connections, min(WARM_UP, self.seconds))

    def measure(self, requests: Sequence[Request], connections: int, *, once: bool = False) -> Measurement:
        """Send the requests cyclically for the timed seconds, or each of them only `once`."""
        self.rest()
        count = len(requests) if once else None
        meter = Meter(self.roots)
        return meter.stop(run(self.server.host, self.server.port, requests, connections, seconds=self.seconds, count=count))

    def rest(self) -> None:
        """Flush the page cache, so that writes of earlier workloads do not slow down the next one."""
        os.sync()
        time.sleep(REST)

    def ask(self, method: str, path: str, query: dict[str, str] | None = None, body: bytes = b"") -> bytes:
        """Send a request on a new connection and return the response's body.

        Raises RuntimeError if the status is not 200.
        """
        digest = hashlib.sha256(body).hexdigest()
        head = self.signer.head(method, path, query, digest, None if method == "GET" else len(body))
        with socket.create_connection((self.server.host, self.server.port), timeout=60) as connection:
            connection.sendall(head + body)
            response = read_response(connection, method)
        if response.status != 200 or b"<Error>" in response.body:
            raise RuntimeError(f"{method} {path} {query or ''}: {response.status} {response.body[:300]!r}")
        return response.body

    def put(self, bucket: str, key: str, number: int, size: int, *, signed: bool = True) -> Request:
        """Return a PUT request for an object with body number `number` of this size."""
        body = body_of(number, size)
        digest = body_hash(number % variety(size), size) if signed else UNSIGNED_PAYLOAD
        return Request(self.signer.head("PUT", f"/{bucket}/{key}", None, digest, size), body, length=0)

    def puts(self, count: int, size: int, *, signed: bool = True) -> tuple[list[str], list[Request]]:
        """Return new keys and their PUT requests."""
        keys = [self.new_key() for _ in range(count)]
        return keys, [self.put(BUCKET, key, number, size, signed=signed) for number, key in enumerate(keys)]

    def new_key(self) -> str:
        self._keys_made += 1
        return f"new/{self._keys_made:08d}"

    def get(self, key: str, number: int, size: int) -> Request:
        head = self.signer.head("GET", f"/{BUCKET}/{key}")
        return Request(head, length=size, expected=body_of(number, size))

    def take_spare_keys(self, count: int) -> list[str]:
        """Return keys of small objects, creating missing objects. A key is returned only once."""
        if (missing := count - len(self.spare_keys)) > 0:
            keys, requests = self.puts(missing, 4 * KIB)
            self.run(requests, FILLING)
            self.spare_keys += keys
        taken, self.spare_keys = self.spare_keys[:count], self.spare_keys[count:]
        return taken

    def delete(self, key: str) -> Request:
        return Request(self.signer.head("DELETE", f"/{BUCKET}/{key}"), status=204, length=0)

    def tidy(self) -> None:
        """Delete the large objects that workloads created, and free their bytes as the worker would."""
        self.run([self.delete(key) for key in self.large_keys], 4)
        self.large_keys.clear()
        self.server.manage("collect_garbage")

    @functools.cached_property
    def small(self) -> list[str]:
        return self._fill("small", self.small_objects, 4 * KIB, FILLING)

    @functools.cached_property
    def medium(self) -> list[str]:
        return self._fill("medium", MEDIUM_OBJECTS, MIB, 4)

    @functools.cached_property
    def large(self) -> list[str]:
        return self._fill("large", LARGE_OBJECTS, 64 * MIB, 1)

    def _fill(self, folder: str, count: int, size: int, connections: int) -> list[str]:
        keys = [f"{folder}/{number:05d}" for number in range(count)]
        self.run([self.put(BUCKET, key, number, size) for number, key in enumerate(keys)], connections)
        return keys

    @functools.cached_property
    def listed(self) -> list[str]:
        keys = [listed_key(number) for number in range(self.listed_keys)]
        self.run([self.put(LIST_BUCKET, key, number, 128) for number, key in enumerate(keys)], FILLING)
        return keys


def listed_key(number: int) -> str:
    return f"folder-{number // FOLDER_SIZE:03d}/object-{number:06d}"


@functools.cache
def payload() -> memoryview:
    """Return random bytes, which no file system or database can compress."""
    return memoryview(os.urandom(65 * MIB))


def variety(size: int) -> int:
    """Return the number of different bodies of a size."""
    return min(VARIETY, max(2, 128 * MIB // size))


def body_of(number: int, size: int) -> memoryview:
    start = number % variety(size) * 499
    return payload()[start : start + size]


@functools.lru_cache(maxsize=10_000)
def body_hash(number: int, size: int) -> str:
    return hashlib.sha256(body_of(number, size)).hexdigest()
