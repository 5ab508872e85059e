"""The workloads, with names such as `put4k/8`: a kind and a number of connections.

Each is a function of a bench and a number of connections. It makes its preparations, then measures.
"""

import functools
import hashlib
import random
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median

from .bench import BUCKET, FOLDER_SIZE, KIB, LIST_BUCKET, MIB, Bench, Measurement, Meter, body_hash, body_of, listed_key
from .load import Outcome, Request, run

#: The part size and number of parts of a multipart upload.
PART, PARTS = 8 * MIB, 32
#: Number of different ranges that the range workload requests, and their size in bytes.
RANGES, RANGE_SIZE = 1000, 64 * KIB
#: The maximum number of objects deleted per second of load, because each must be put first. The run ends when none are
#: left.
MOST_DELETES = 2000


def put(bench: Bench, connections: int, size: int, *, signed: bool = True) -> Measurement:
    """Put objects with new keys."""
    warm_keys, requests = bench.puts(min(2000, max(connections, 256 * MIB // size)), size, signed=signed)
    warm = bench.warm_up(requests, connections)
    keys, requests = bench.puts(max(2 * connections, int(warm.rate * bench.seconds * 1.5)), size, signed=signed)
    measurement = bench.measure(requests, connections, once=True)
    written = warm_keys[: warm.operations]
    if not measurement.outcome.errors:  # otherwise it is not known which
        written += keys[: measurement.outcome.operations]
    if size == 4 * KIB:
        bench.spare_keys += written
    else:
        bench.large_keys += written
    return measurement


def get(bench: Bench, connections: int, size: int) -> Measurement:
    """Get the same objects repeatedly."""
    keys = {4 * KIB: lambda: bench.small, MIB: lambda: bench.medium, 64 * MIB: lambda: bench.large}[size]()
    return _repeat(bench, connections, [bench.get(key, number, size) for number, key in enumerate(keys)])


def head(bench: Bench, connections: int) -> Measurement:
    requests = [Request(bench.signer.head("HEAD", f"/{BUCKET}/{key}"), length=4 * KIB, no_body=True) for key in bench.small]
    return _repeat(bench, connections, requests)


def delete(bench: Bench, connections: int) -> Measurement:
    """Delete objects that were put before."""

    def deletes(count: int) -> list[Request]:
        return [bench.delete(key) for key in bench.take_spare_keys(count)]

    warm = bench.warm_up(deletes(300), connections)
    count = min(warm.rate * 1.5, MOST_DELETES) * bench.seconds
    return bench.measure(deletes(max(2 * connections, int(count))), connections, once=True)


def ranges(bench: Bench, connections: int) -> Measurement:
    """Get random ranges of one large object, half of them aligned to their size."""
    key, size, chance, requests = bench.large[0], 64 * MIB, random.Random(1), []
    body = body_of(0, size)
    for number in range(RANGES):
        start = chance.randrange(size - RANGE_SIZE)
        if number % 2:
            start -= start % RANGE_SIZE
        header = {"range": f"bytes={start}-{start + RANGE_SIZE - 1}"}
        signed = bench.signer.head("GET", f"/{BUCKET}/{key}", headers=header)
        requests.append(Request(signed, status=206, length=RANGE_SIZE, expected=body[start : start + RANGE_SIZE]))
    return _repeat(bench, connections, requests)


def list_page(bench: Bench, connections: int) -> Measurement:
    """List 1,000 keys, starting at each thousandth key."""
    starts = [listed_key(number - 1) if number else "" for number in range(0, bench.listed_keys, 1000)]
    queries = [{"list-type": "2", **({"start-after": start} if start else {})} for start in starts]
    return _list(bench, connections, queries, b"<Key>", 1000)


def list_prefix(bench: Bench, connections: int) -> Measurement:
    """List the 100 keys of a folder, as a browser does."""
    prefixes = [listed_key(number).split("/")[0] + "/" for number in range(0, bench.listed_keys, FOLDER_SIZE)]
    queries = [{"list-type": "2", "prefix": prefix, "delimiter": "/"} for prefix in prefixes]
    return _list(bench, connections, queries, b"<Key>", FOLDER_SIZE)


def list_delim(bench: Bench, connections: int) -> Measurement:
    """List the 100 folders at the root."""
    query = {"list-type": "2", "delimiter": "/"}
    return _list(bench, connections, [query], b"<CommonPrefixes>", bench.listed_keys // FOLDER_SIZE)


def multipart(bench: Bench, connections: int) -> Measurement:
    """Upload objects in parts.

    One operation is the whole upload, from CreateMultipartUpload to CompleteMultipartUpload.
    """
    bodies = [body_of(number, PART) for number in range(PARTS)]
    hashes = [body_hash(number, PART) for number in range(PARTS)]
    etags = [hashlib.md5(body).hexdigest() for body in bodies]
    parts = [f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in enumerate(etags, 1)]
    document = f"<CompleteMultipartUpload>{''.join(parts)}</CompleteMultipartUpload>".encode()
    path, times = "", []
    bench.rest()
    meter, cpu = Meter(bench.roots), time.thread_time()
    while sum(times) < bench.seconds:
        key = bench.new_key()
        bench.large_keys.append(key)
        path, start = f"/{BUCKET}/{key}", time.perf_counter()
        upload = _upload_id(bench.ask("POST", path, {"uploads": ""}))
        requests = []
        for number, (body, digest) in enumerate(zip(bodies, hashes, strict=True), 1):
            query = {"partNumber": str(number), "uploadId": upload}
            requests.append(Request(bench.signer.head("PUT", path, query, digest, PART), body, length=0))
        outcome = run(bench.server.host, bench.server.port, requests, connections)
        if outcome.errors:
            raise RuntimeError(outcome.first_error)
        bench.ask("POST", path, {"uploadId": upload}, document)
        times.append(time.perf_counter() - start)
    cpu = time.thread_time() - cpu
    size = PART * PARTS * len(times)
    measurement = meter.stop(Outcome(len(times), 0, "", sum(times), size, median(times), max(times), cpu))
    wholes = []
    for number, body in enumerate(bodies):
        header = {"range": f"bytes={number * PART}-{(number + 1) * PART - 1}"}
        wholes.append(Request(bench.signer.head("GET", path, headers=header), status=206, length=PART, expected=body))
    bench.run(wholes, 1)
    return measurement


def _repeat(bench: Bench, connections: int, requests: list[Request]) -> Measurement:
    bench.warm_up(requests, connections)
    return bench.measure(requests, connections)


def _list(bench: Bench, connections: int, queries: Iterable[dict[str, str]], tag: bytes, count: int) -> Measurement:
    """Send each query once and count the results. Every response under load must be the same."""
    assert bench.listed
    requests = []
    for query in queries:
        answer = bench.ask("GET", f"/{LIST_BUCKET}", query)
        if (found := answer.count(tag)) != count:
            raise RuntimeError(f"a listing {query} of {found} {tag.decode()} instead of {count}")
        requests.append(Request(bench.signer.head("GET", f"/{LIST_BUCKET}", query), length=len(answer), expected=answer))
    return _repeat(bench, connections, requests)


def _upload_id(document: bytes) -> str:
    found = re.search(rb"<UploadId>([^<]+)</UploadId>", document)
    if found is None:
        raise RuntimeError(f"a response without UploadId: {document[:300]!r}")
    return found[1].decode()


@dataclass(frozen=True, slots=True)
class Workload:
    """A kind of load at a number of connections."""

    kind: str
    connections: int
    measure: Callable[[Bench, int], Measurement]

    @property
    def name(self) -> str:
        return f"{self.kind}/{self.connections}"


_KINDS: list[tuple[str, tuple[int, ...], Callable[..., Measurement]]] = [
    ("put4k", (1, 8, 32), functools.partial(put, size=4 * KIB)),
    ("get4k", (1, 8, 32), functools.partial(get, size=4 * KIB)),
    ("head4k", (1, 8, 32), head),
    ("delete4k", (1, 8, 32), delete),
    ("list-page", (1, 8), list_page),
    ("list-prefix", (1, 8), list_prefix),
    ("list-delim", (1, 8), list_delim),
    ("put1m", (1, 8), functools.partial(put, size=MIB)),
    ("get1m", (1, 8), functools.partial(get, size=MIB)),
    ("put64m", (1, 4), functools.partial(put, size=64 * MIB)),
    ("put64m-unsigned", (1, 4), functools.partial(put, size=64 * MIB, signed=False)),
    ("get64m", (1, 4), functools.partial(get, size=64 * MIB)),
    ("range64k", (1, 8), ranges),
    ("mpu256m", (4,), multipart),
]
WORKLOADS = {
    workload.name: workload
    for kind, connections, measure in _KINDS
    for workload in (Workload(kind, number, measure) for number in connections)
}
