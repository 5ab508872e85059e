"""Fuzz a running server with nearly valid requests and bytes. Every one must get a response, but no server error.

Most requests are signed after they are altered, so that they pass authentication. Some have their bytes altered as
well. Bytes that are no longer a request may be answered or the connection closed. Complete requests must be answered.
"""

import contextlib
import re
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from tests.raw import RawClient, read_response

from .mutations import NUMBERS, Mutator
from .samples import BODY, KEYS, METHODS, UPLOAD, Sample, make, target_of

#: Seconds within which a complete request must be answered, and other bytes answered or the connection closed.
LIMIT = 30.0
#: Seconds to wait for a response to a possibly incomplete request, before the sending side is closed.
PATIENCE = 0.3
#: Statuses that no request may get, because the server failed. 501 means not implemented.
FAILURES = frozenset(range(500, 600)) - {501}
THREADS, PREPARE_EVERY = 16, 300


@dataclass(slots=True)
class HttpOutcome:
    """Results of requests: responses by status (0: closed without a response), and findings."""

    statuses: Counter[int] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)
    slowest: float = 0.0


@dataclass(frozen=True, slots=True)
class Wire:
    """Bytes to send. `whole` means that they are a request with this method, which must be answered."""

    data: bytes
    method: str
    whole: bool


class Place(Protocol):
    """The address of a server."""

    host: str
    port: int


class Sender(ABC):
    """Sends the inputs of a seed to one place from several threads, and records the results."""

    #: The kind of inputs, for findings and reports.
    title = ""

    def __init__(self, place: Place, seed: str) -> None:
        self.place, self.seed, self.outcome = place, seed, HttpOutcome()
        self._lock = threading.Lock()

    @abstractmethod
    def make(self, number: int) -> Wire:
        """Return the request of input `number`."""

    @abstractmethod
    def run(self, start: int, count: int) -> None:
        """Send inputs `start` to `start + count`."""

    def send(self, start: int, end: int, threads: int) -> None:
        """Send inputs `start` to `end` from this many threads."""
        working = [threading.Thread(target=self._work, args=(range(start + one, end, threads),)) for one in range(threads)]
        for thread in working:
            thread.start()
        for thread in working:
            thread.join()

    def _work(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            wire = self.make(number)
            began = time.monotonic()
            try:
                status, problem = exchange(self.place, wire)
            except Exception as error:
                status, problem = 0, f"{type(error).__name__}: {error}"
            seconds = time.monotonic() - began
            with self._lock:
                self.outcome.statuses[status] += 1
                self.outcome.slowest = max(self.outcome.slowest, seconds)
                if status in FAILURES:
                    problem = problem or f"answered {status}"
                if problem:
                    self.outcome.findings.append(f"{self.title} input {self.seed}/{number}: {problem}\n    {wire.data[:1500]!r}")


class Fuzzer(Sender):
    """Sends requests to S3."""

    title = "HTTP"

    def __init__(self, client: RawClient, seed: str) -> None:
        super().__init__(client, seed)
        self.client, self._upload = client, b""

    def run(self, start: int, count: int) -> None:
        for first in range(start, start + count, PREPARE_EVERY):
            self._prepare()
            self.send(first, min(first + PREPARE_EVERY, start + count), THREADS)

    def _prepare(self) -> None:
        """Create the bucket, some objects and an upload, which the last requests may have deleted."""
        self.client.send("PUT", "/fuzz")
        for key in KEYS:
            self.client.send("PUT", target_of(Sample("PUT", key=key))[0], body=BODY)
        answer = self.client.send("POST", "/fuzz/m", "uploads=")
        found = re.search(rb"<UploadId>(.+)</UploadId>", answer.body if answer else b"")
        if found:
            self._upload = found[1]
            self.client.send("PUT", "/fuzz/m", f"partNumber=1&uploadId={found[1].decode()}", body=BODY)

    def make(self, number: int) -> Wire:
        """Return the request of input `number`. Only the times in signatures and the upload ID differ each time."""
        mutator = Mutator(f"{self.seed}/{number}")
        sample = make(mutator)
        head, body = _signed(self.client, sample, mutator, self._upload)
        whole = _is_whole(sample, head)
        if mutator.happens(0.35):
            return Wire(_bent_wire(head, body, mutator), sample.method, False)
        return Wire(head + body, sample.method, whole)


def _is_whole(sample: Sample, head: bytes) -> bool:
    """Return whether the head is complete and correct: no value ends it early or announces another body length."""
    own = b"content-length transfer-encoding connection upgrade expect".split()
    names = [line.partition(b":")[0].strip().lower() for line in head.split(b"\r\n")[1:]]
    given = [name.strip().lower() for name, _ in sample.headers]
    clean = not any(byte in name + value for name, value in sample.headers for byte in b"\r\n\0")
    known = sample.method in ("GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "PATCH")
    return clean and known and len(names) < 200 and not any(name in own for name in given) and all(map(_is_token, given))


def _is_token(name: bytes) -> bool:
    return bool(re.fullmatch(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name))


def _signed(client: RawClient, sample: Sample, mutator: Mutator, upload: bytes) -> tuple[bytes, bytes]:
    """Return the head and framed body of a sample, with a valid or wrong signature of any kind, or none."""
    path, query = target_of(sample)
    query = query.replace(target_of(Sample("", query=((b"", UPLOAD),)))[1][1:], upload.decode())
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in sample.headers]
    plain: list[tuple[str, str]] = []
    body, payload_hash, pieces = (
        sample.body,
        None,
        [sample.body[:500], sample.body[500:]] if len(sample.body) > 500 else [sample.body],
    )
    trailers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in sample.trailers]
    if sample.framing in ("signed", "unsigned"):
        headers += [("content-encoding", "aws-chunked"), ("x-amz-decoded-content-length", str(len(body)))]
        headers += [("x-amz-trailer", ",".join(name for name, _ in trailers))] if trailers else []
        payload_hash = f"STREAMING-{'AWS4-HMAC-SHA256' if sample.framing == 'signed' else 'UNSIGNED'}-PAYLOAD"
        payload_hash += "-TRAILER" if trailers or sample.framing == "unsigned" else ""
    elif sample.framing == "chunked" or mutator.happens(0.2):
        payload_hash = "UNSIGNED-PAYLOAD"
    if sample.framing == "chunked":
        plain = [("Transfer-Encoding", "chunked")]
        body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces if piece) + b"0\r\n\r\n"
    elif sample.framing == "unsigned":
        body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces if piece) + b"0\r\n"
        body += "".join(f"{name}:{value}\r\n" for name, value in trailers).encode() + b"\r\n"
    request = client.sign(sample.method, path, query, headers, body, payload_hash=payload_hash)
    if sample.framing == "signed":
        lines = "".join(f"{name}:{value}\n" for name, value in trailers).encode()
        body = request.chunked_body([piece for piece in pieces if piece], lines if trailers else None)
    if sample.framing in ("signed", "unsigned") and mutator.happens(0.4):
        body = mutator.bend(body)
    if sample.framing != "chunked":
        plain = [("Content-Length", str(len(body)))]
    kind = mutator.random.random()
    if sample.presigned or kind < 0.1:
        target = f"{path}?{client.presign(sample.method, path, query, headers)}"
        lines = [f"{sample.method} {target} HTTP/1.1", f"Host: {client.host}:{client.port}", *map(": ".join, headers + plain)]
        return "\r\n".join([*lines, "", ""]).encode(), body
    if kind < 0.2:
        index = mutator.random.randrange(len(request.headers))
        name, value = request.headers[index]
        bent = mutator.bend(value.encode()).translate(None, b"\r\n\0").decode("latin-1")
        request.headers[index] = (name, bent)
    request.headers += plain
    return request.head(), body


def _bent_wire(head: bytes, body: bytes, mutator: Mutator) -> bytes:
    """Return altered bytes, which may no longer be a request, or may be a different one."""
    lines = head[:-4].split(b"\r\n")
    kind = mutator.random.randrange(10)
    if kind == 0:
        return (head + body)[: mutator.random.randint(0, len(head + body) - 1)]
    if kind == 1:
        return mutator.bend(head) + body
    if kind == 2:
        return head + mutator.bend(body)
    if kind == 3:  # a header twice
        lines.insert(mutator.random.randint(1, len(lines)), mutator.one_of(lines[1:]))
    elif kind == 4:
        lines = [line for line in lines if not line.lower().startswith(b"content-length")]
        lines.append(b"Content-Length: " + mutator.one_of((*NUMBERS, b"", b"5, 5", b"%d" % (len(body) + 1), mutator.spice())))
    elif kind == 5:
        lines.append(
            b"Transfer-Encoding: " + mutator.one_of((b"chunked", b"gzip, chunked", b"chunked, chunked", b"x", mutator.spice()))
        )
        body = b"%s\r\n%s\r\n0\r\n\r\n" % (mutator.one_of((b"%x" % len(body), mutator.spice(), *NUMBERS)), body)
    elif kind == 6:
        first = lines[0].split(b" ")
        first[mutator.random.randrange(len(first))] = mutator.one_of(
            (mutator.spice(), mutator.one_of(METHODS).encode(), b"HTTP/1.0", b"*")
        )
        lines[0] = b" ".join(first)
    elif kind == 7:
        lines.insert(
            1,
            mutator.one_of(
                (b"Expect: 100-continue", b"Connection: close", b"Upgrade: websocket\r\nConnection: upgrade", b"Host: x")
            ),
        )
    elif kind == 8:  # two requests together
        return head + body + head + body
    else:
        lines.insert(mutator.random.randint(0, len(lines)), mutator.spice())
    return b"\r\n".join([*lines, b"", b""]) + body


def exchange(place: Place, wire: Wire) -> tuple[int, str]:
    """Send a request. Return the response's status (0 for none) and a problem, if there is one."""
    with socket.create_connection((place.host, place.port), timeout=LIMIT) as connection:
        with contextlib.suppress(ConnectionError):  # refused before its end: the response says so
            connection.sendall(wire.data)
        try:
            if wire.whole:
                answer = read_response(connection, wire.method)
                return answer.status, _split_head(answer.head)
            return _status_of_any(connection)
        except TimeoutError:
            return 0, f"neither answered nor closed within {LIMIT:g} s"
        except ConnectionError as error:
            return 0, f"a complete request was not answered: {error}" if wire.whole else ""


def _split_head(head: bytes) -> str:
    """Return a finding if the head has a header that only a line break in a name or value can have produced."""
    return f"the head was split: {head!r}" if re.search(rb"(?im)^(set-cookie: a=b|x: y)\r?$", head) else ""


def _status_of_any(connection: socket.socket) -> tuple[int, str]:
    """Read until the server closes. Return the highest final status, and a finding, if any.

    After a moment, the sending side of the connection is closed, so that the server stops waiting for more.
    """
    received = b""
    connection.settimeout(PATIENCE)
    with contextlib.suppress(TimeoutError):
        received = connection.recv(65536)
    connection.settimeout(LIMIT)
    with contextlib.suppress(OSError):  # closed already
        connection.shutdown(socket.SHUT_WR)
    while data := connection.recv(65536):
        received = (received + data)[:65536]
    statuses = [int(found) for found in re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", received)]
    return max((status for status in statuses if status >= 200), default=0), _split_head(received.partition(b"\r\n\r\n")[0])
