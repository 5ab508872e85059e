"""A load generator that is not the bottleneck: one thread sends requests that were signed and built in advance.

    signer = Signer("127.0.0.1", 9000, access_key, secret_key)
    requests = [Request(signer.head("GET", "/bucket/key"), length=4096, expected=body)]
    outcome = run("127.0.0.1", 9000, requests, 8, seconds=3)

Each connection sends its next request once it has the response to the previous one. The status and length of every
response are checked, and the whole body of every `SAMPLE`th. On an idle processor, a 4 KiB GET costs about 10 µs.
"""

import gc
import select
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass

from .signer import Signer as Signer

#: One response in this many is compared byte by byte. A prime, so that a round number of requests does not always check
#: the same few.
SAMPLE = 17
#: Size in bytes of the buffer that responses are received into. A larger one would not fit into the processor's cache.
BUFFER_SIZE = 256 * 1024
#: Bodies up to this size in bytes are joined to their heads in advance and sent in one call.
SMALL = 16 * 1024
#: Seconds to wait for a response, and number of errors after which a run is aborted.
TIMEOUT, MAX_ERRORS = 60.0, 100


@dataclass(slots=True)
class Request:
    """A request as it goes over the wire, and the expected response."""

    head: bytes
    body: bytes | memoryview = b""
    status: int = 200
    #: The length of the response's body in bytes, or None for any.
    length: int | None = None
    #: The response's body, or None if it is not compared.
    expected: bytes | memoryview | None = None
    #: True if the response has a Content-Length but no body, because this is a HEAD.
    no_body: bool = False


@dataclass(slots=True)
class Outcome:
    """The results of a run. Times are in seconds. `bytes` counts bodies sent and received in successful operations."""

    operations: int
    errors: int
    first_error: str
    seconds: float
    bytes: int
    p50: float
    p99: float
    client_cpu: float

    @property
    def rate(self) -> float:
        """Operations per second."""
        return self.operations / self.seconds if self.seconds else 0.0

    @property
    def megabytes_per_second(self) -> float:
        """Millions of bytes per second."""
        return self.bytes / self.seconds / 1e6 if self.seconds else 0.0


def run(
    host: str, port: int, requests: Sequence[Request], connections: int, *, seconds: float | None = None, count: int | None = None
) -> Outcome:
    """Cycle through the requests for `seconds` or until `count` were sent, whichever comes first.

    By default, each request is sent once. The measured time ends with the last response, because requests in
    progress after `seconds` are waited for.
    """
    if seconds is None and count is None:
        count = len(requests)
    return _Run(host, port, requests, connections, seconds, count).outcome()


class _Connection:
    """One socket and the request in progress on it."""

    __slots__ = tuple("compared early excerpt last length pending problem received request socket started writing".split())

    def __init__(self) -> None:
        self.socket: socket.socket
        self.writing = False
        self.renew()

    def renew(self) -> None:
        """Reset the state of the last request."""
        self.request: Request
        self.started, self.received, self.length = 0.0, 0, -1
        self.pending: list[memoryview] = []  # bytes still to be sent
        self.early = b""  # received bytes of an incomplete head
        self.problem, self.excerpt = "", b""
        self.compared: memoryview | None = None
        self.last = False  # the server closes the connection after this response


class _Run:
    """One run: its sockets, counters and clock."""

    def __init__(
        self, host: str, port: int, requests: Sequence[Request], connections: int, seconds: float | None, count: int | None
    ) -> None:
        self.address, self.requests, self.count, self.seconds = (host, port), requests, count, seconds
        # Joined here, before the measurement starts.
        self.wires = [request.head + bytes(request.body) if len(request.body) <= SMALL else None for request in requests]
        self.statuses = [str(request.status).encode() for request in requests]
        self.buffer = bytearray(BUFFER_SIZE)
        self.view = memoryview(self.buffer)
        self.epoll = select.epoll()
        self.by_number: dict[int, _Connection] = {}
        self.connections = [_Connection() for _ in range(connections)]
        self.latencies: list[float] = []
        self.issued = self.errors = self.bytes = 0
        self.first_error = ""
        self.deadline = self.ended = 0.0

    def outcome(self) -> Outcome:
        """Send the requests and return the results."""
        try:
            for connection in self.connections:
                self._connect(connection)
            # A collection would traverse all prepared requests, and nothing here creates cycles.
            gc.disable()
            cpu, start = time.thread_time(), time.perf_counter()
            self.ended = start
            self.deadline = start + self.seconds if self.seconds is not None else float("inf")
            for connection in self.connections:
                self._start(connection, start)
            self._loop()
            cpu = time.thread_time() - cpu
        finally:
            gc.enable()
            for connection in self.by_number.values():
                connection.socket.close()
            self.epoll.close()
        done = sorted(self.latencies)
        p50, p99 = (done[int(len(done) * part)] if done else 0.0 for part in (0.5, 0.99))
        return Outcome(len(done), self.errors, self.first_error, self.ended - start, self.bytes, p50, p99, cpu)

    def _loop(self) -> None:
        while self.by_number and self.errors < MAX_ERRORS:
            events = self.epoll.poll(TIMEOUT)
            if not events:
                for connection in list(self.by_number.values()):
                    self._count_error(connection, f"no response within {TIMEOUT:g} s")
                return
            for number, event in events:
                connection = self.by_number.get(number)
                if connection is None:
                    continue
                if event & ~select.EPOLLOUT:
                    self._read(connection)
                elif connection.pending:
                    self._write(connection)

    def _connect(self, connection: _Connection) -> None:
        connection.socket = socket.create_connection(self.address, timeout=TIMEOUT)
        connection.socket.setblocking(False)
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.writing = False
        self.by_number[connection.socket.fileno()] = connection
        self.epoll.register(connection.socket, select.EPOLLIN)

    def _close(self, connection: _Connection) -> None:
        del self.by_number[connection.socket.fileno()]
        self.epoll.unregister(connection.socket)
        connection.socket.close()

    def _start(self, connection: _Connection, now: float) -> None:
        """Send the next request on this connection, or close it if there is none."""
        number = self.issued
        if number == self.count or now >= self.deadline:
            self._close(connection)
            return
        self.issued = number + 1
        index = number % len(self.requests)
        request = self.requests[index]
        connection.renew()
        connection.request, connection.started = request, now
        if request.expected is not None and number % SAMPLE == 0:
            connection.compared = memoryview(request.expected)
        wire = self.wires[index]
        if wire is None:
            connection.pending = [memoryview(request.head), memoryview(request.body)]
            self._write(connection)
            return
        try:
            sent = connection.socket.send(wire)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._fail(connection, f"sending: {error}")
            return
        if sent < len(wire):
            connection.pending = [memoryview(wire)[sent:]]
            self._write(connection)

    def _write(self, connection: _Connection) -> None:
        pending = connection.pending
        try:
            while pending:
                sent = connection.socket.sendmsg(pending)
                while pending and sent >= len(pending[0]):
                    sent -= len(pending.pop(0))
                if sent:
                    pending[0] = pending[0][sent:]
        except BlockingIOError:
            pass
        except OSError as error:
            # The server may have responded before it closed, and its response says more than "broken pipe".
            pending.clear()
            connection.last = True
            connection.problem = f"sending: {error}"
        if connection.writing != bool(pending):
            connection.writing = bool(pending)
            self.epoll.modify(connection.socket, select.EPOLLIN | (select.EPOLLOUT if pending else 0))

    def _read(self, connection: _Connection) -> None:
        start = len(connection.early)
        if start:
            self.buffer[:start] = connection.early
        try:
            received = connection.socket.recv_into(self.view[start:] if start else self.buffer)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(connection, connection.problem or f"receiving: {error}")
            return
        if not received:
            self._fail(connection, connection.problem or "the server closed the connection before the end of its response")
            return
        end = start + received
        start = 0
        if connection.length < 0:
            start = self.buffer.find(b"\r\n\r\n", 0, end) + 4
            if start < 4:
                connection.early = bytes(self.view[:end])
                return
            if not self._read_head(connection, start):
                return
        size = end - start
        if size:
            if connection.compared is not None:
                # bytearray compares with memcmp, memoryview item by item.
                expected = connection.compared[connection.received : connection.received + size]
                if not connection.problem and self.buffer[start:end] != expected:
                    connection.problem = "unexpected body"
            if connection.problem and len(connection.excerpt) < 300:
                connection.excerpt += bytes(self.view[start : min(end, start + 300)])
            connection.received += size
        if connection.received >= connection.length:
            self._finish(connection)

    def _read_head(self, connection: _Connection, end: int) -> bool:
        """Check the status and announced length. Return whether a response of known length follows."""
        request = connection.request
        head = self.buffer[: end - 2].lower()
        status = bytes(head[9:12])
        connection.early = b""
        if status != b"%d" % request.status:
            connection.problem = f"status {status.decode(errors='replace')} instead of {request.status}"
        if b"\r\nconnection: close" in head:
            connection.last = True
        at = head.find(b"\r\ncontent-length:")
        if at < 0 and status not in (b"204", b"304"):
            self._fail(connection, connection.problem or "a response without Content-Length")
            return False
        length = int(head[at + 17 : head.find(b"\r\n", at + 17)]) if at >= 0 else 0
        if request.length is not None and length != request.length and not connection.problem:
            connection.problem = f"a body of {length} bytes instead of {request.length}"
        connection.length = 0 if request.no_body else length
        return True

    def _finish(self, connection: _Connection) -> None:
        """Count the response and continue with the next request."""
        self.ended = now = time.perf_counter()
        if connection.received > connection.length:
            connection.problem = connection.problem or "more bytes than announced"
            connection.last = True
        if connection.problem:
            self._count_error(connection, connection.problem)
        else:
            self.latencies.append(now - connection.started)
            self.bytes += connection.received + len(connection.request.body)
        if connection.last or connection.pending:
            self._restart(connection)
        else:
            self._start(connection, now)

    def _fail(self, connection: _Connection, problem: str) -> None:
        """Count an incomplete response, and continue on a new connection."""
        self._count_error(connection, problem)
        self._restart(connection)

    def _restart(self, connection: _Connection) -> None:
        self._close(connection)
        if self.errors < MAX_ERRORS:
            try:
                self._connect(connection)
            except OSError as error:
                self._count_error(connection, f"reconnecting: {error}")
                return
            self._start(connection, time.perf_counter())

    def _count_error(self, connection: _Connection, problem: str) -> None:
        self.ended = time.perf_counter()
        self.errors += 1
        if not self.first_error:
            line = bytes(connection.request.head).split(b"\r\n", 1)[0].decode()
            self.first_error = f"{line}: {problem} {connection.excerpt[:300].decode(errors='replace')}".rstrip()
