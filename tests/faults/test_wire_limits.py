"""Limits on the cost of a client: heads, bodies and responses are limited in size and time, and others are served."""

import contextlib
import socket
import time
from collections.abc import Callable, Iterator

import pytest

from tests.clients.test_memory import peak_of
from tests.helpers import refusal_of
from tests.raw import RawClient, RawResponse, connect, read_response
from tests.servers import Server

KIB, MIB = 1 << 10, 1 << 20
BUCKET = "limits"
LIVE = b"GET /_/health/live HTTP/1.1\r\nHost: localhost\r\n"
#: Seconds that everything may take, even on a busy machine.
DEADLINE = 20


@pytest.fixture(scope="module")
def served(make_server: Callable[..., Server]) -> Iterator[Server]:
    limits = {"POST3_HEAD_TIMEOUT": "1.5", "POST3_BODY_TIMEOUT": "2", "POST3_SEND_TIMEOUT": "2"}
    server = make_server("sqlite-files", runner="gunicorn-asgi", environment=limits)
    server.client().create_bucket(Bucket=BUCKET)
    server.client().put_object(Bucket=BUCKET, Key="large", Body=bytes(24 * MIB))
    yield server
    server.stop()


@pytest.fixture
def wire(served: Server) -> RawClient:
    return RawClient(served.host, served.port, served.access_key, served.secret_key)


def send_all(connection: socket.socket, data: bytes) -> None:
    """Send as much as the server accepts. It may close the connection of a refused client while it sends."""
    with contextlib.suppress(ConnectionError):
        connection.sendall(data)


def answer_to(wire: RawClient, data: bytes) -> RawResponse:
    with connect(wire) as connection:
        send_all(connection, data)
        return read_response(connection)


def is_ended(connection: socket.socket) -> bool:
    """Read until the end of the connection, which must come."""
    with contextlib.suppress(ConnectionError):
        while connection.recv(65536):
            pass
    return True


BOMBS = {
    "long line": b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
    "endless line": b"GET /" + b"a" * MIB,
    "long header": LIVE + b"x-a: " + b"a" * 20_000 + b"\r\n\r\n",
    "endless header": LIVE + b"x-a: " + b"a" * MIB,
    "endless name": LIVE + b"a" * MIB,
    "large headers": LIVE + b"x-amz-meta-a: 0123456789\r\n" * 1000 + b"\r\n",
    "endless headers": LIVE + b"x-amz-meta-a: 0123456789\r\n" * 40_000,
    "many headers": LIVE + b"a:\r\n" * 1100 + b"\r\n",
    "empty lines": b"\r\n" * MIB,
}


@pytest.mark.parametrize("name", BOMBS)
def test_head_that_is_too_large_is_refused(wire: RawClient, name: str) -> None:
    refused = refusal_of(answer_to(wire, BOMBS[name]))
    assert (refused.status, refused.code) == (400, "RequestHeaderSectionTooLarge")  # B121
    assert refused.fields == {"MaxSizeAllowed": "16384"}


def test_head_of_the_largest_size_is_served(wire: RawClient) -> None:
    assert answer_to(wire, LIVE + b"x-a: " + b"a" * 16_000 + b"\r\n\r\n").status == 200
    key, most = "\U0001f600" * 256, "m" * 2000  # the longest key, and nearly the maximum of metadata
    put = wire.send("PUT", f"/{BUCKET}/{'%F0%9F%98%80' * 256}", headers=[("x-amz-meta-a", most)], body=b"body")
    assert put is not None and put.status == 200, key


def test_bombs_use_little_memory(wire: RawClient, served: Server) -> None:
    before = peak_of(served.pid)
    chunked = wire.sign(
        "PUT", f"/{BUCKET}/bomb", payload_hash="UNSIGNED-PAYLOAD", unsigned_headers=[("Transfer-Encoding", "chunked")]
    )
    heads = [LIVE + b"x-a: ", LIVE, b"GET /", chunked.head() + b"5\r\nhello\r\n0\r\nx-a: ", chunked.head() + b"5;"]
    with contextlib.ExitStack() as stack:
        connections = [stack.enter_context(connect(wire)) for _ in range(40)]
        for number, connection in enumerate(connections):
            send_all(connection, heads[number % len(heads)])
        for _ in range(8):
            for connection in connections:
                send_all(connection, b"a" * 512 * KIB)
        assert all(is_ended(connection) for connection in connections)
    assert peak_of(served.pid) - before < 48 * MIB  # 160 MiB were sent


def test_connection_without_a_request_is_closed(wire: RawClient) -> None:
    began = time.monotonic()
    with connect(wire) as silent, connect(wire) as slow, connect(wire) as second:
        slow.sendall(b"GET /_/health/live HT")
        second.sendall(LIVE + b"\r\n")
        assert read_response(second).status == 200
        second.sendall(b"GET ")
        assert silent.recv(100) == b""
        for connection in (slow, second):
            refused = refusal_of(read_response(connection))
            assert (refused.status, refused.code) == (400, "RequestTimeout")
            assert is_ended(connection)
    assert 1 < time.monotonic() - began < DEADLINE


def test_head_sent_byte_by_byte_times_out(wire: RawClient) -> None:
    with connect(wire) as connection:
        began, head = time.monotonic(), iter(LIVE * 10)
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - began < DEADLINE:
                connection.sendall(bytes([next(head)]))
                connection.settimeout(0.2)
                with contextlib.suppress(TimeoutError):
                    if connection.recv(1000) == b"":
                        break
        assert time.monotonic() - began < 6


@pytest.mark.parametrize("length", [100_000, 2 * MIB])
@pytest.mark.parametrize("framing", ["plain", "tiny chunks"])
def test_body_sent_byte_by_byte_times_out(wire: RawClient, length: int, framing: str) -> None:
    sizes = [("Content-Length", str(length))] if framing == "plain" else [("Transfer-Encoding", "chunked")]
    decoded = [("x-amz-decoded-content-length", str(length))] if framing != "plain" else []
    kind = "UNSIGNED-PAYLOAD" if framing == "plain" else "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
    put = wire.sign("PUT", f"/{BUCKET}/slow", headers=decoded, payload_hash=kind, unsigned_headers=sizes)
    piece = b"x" if framing == "plain" else b"6\r\n1\r\nx\r\n\r\n"
    with connect(wire) as connection:
        connection.sendall(put.head())
        began = time.monotonic()
        connection.settimeout(0.05)
        answered = b""
        while not answered and time.monotonic() - began < DEADLINE:
            connection.sendall(piece)
            with contextlib.suppress(TimeoutError):
                answered = connection.recv(1000, socket.MSG_PEEK)
        connection.settimeout(DEADLINE)
        refused = refusal_of(read_response(connection, "PUT"))
    assert (refused.status, refused.code) == (400, "RequestTimeout")  # B034
    assert 1.5 < time.monotonic() - began < 10


def test_slow_but_steady_body_is_accepted(wire: RawClient) -> None:
    put = wire.sign(
        "PUT", f"/{BUCKET}/honest", payload_hash="UNSIGNED-PAYLOAD", unsigned_headers=[("Content-Length", str(400 * KIB))]
    )
    with connect(wire) as connection:
        connection.sendall(put.head())
        for _ in range(20):
            connection.sendall(bytes(20 * KIB))
            time.sleep(0.2)
        assert read_response(connection, "PUT").status == 200


def test_client_that_stops_reading_is_disconnected_and_a_slow_one_is_not(wire: RawClient) -> None:
    get = wire.sign("GET", f"/{BUCKET}/large").head()
    with connect(wire, receive_buffer=64 * KIB) as stopped, connect(wire, receive_buffer=64 * KIB) as slow:
        stopped.sendall(get)
        slow.sendall(get)
        taken = 0
        for _ in range(12):
            time.sleep(0.5)
            taken += len(slow.recv(256 * KIB))
        received = 0
        with contextlib.suppress(ConnectionError):
            while piece := stopped.recv(MIB):
                received += len(piece)
        assert received < 24 * MIB
        while piece := slow.recv(MIB):
            taken += len(piece)
            if taken > 24 * MIB:
                break
        assert taken > 24 * MIB  # body and head


def test_bytes_that_are_not_http_are_refused(wire: RawClient) -> None:
    for garbage in (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET\r\n\r\n"):
        refused = refusal_of(answer_to(wire, garbage))
        assert (refused.status, refused.code) == (400, "BadRequest")


def test_pipelined_requests_are_answered_in_order_until_garbage_follows(wire: RawClient) -> None:
    with connect(wire) as connection:
        connection.sendall((LIVE + b"\r\n") * 20)
        received = b""
        while received.count(b'{"status": "ok"}') < 20:
            received += connection.recv(65536)
        assert received.count(b"HTTP/1.1 200 OK") == 20
        connection.sendall(LIVE + b"\r\n" + b"garbage \x00\r\n\r\n")
        assert read_response(connection).status == 200
        assert is_ended(connection)
    with connect(wire, receive_buffer=64 * KIB) as connection:  # reads no response, so the server stops reading and closes
        send_all(connection, (LIVE + b"\r\n") * 200_000)
        assert is_ended(connection)
    assert answer_to(wire, LIVE + b"\r\n").status == 200


def test_body_with_broken_framing_creates_no_object(wire: RawClient) -> None:
    put = wire.sign(
        "PUT", f"/{BUCKET}/broken", payload_hash="UNSIGNED-PAYLOAD", unsigned_headers=[("Transfer-Encoding", "chunked")]
    )
    answer = answer_to(wire, put.head() + b"5\r\nhello\r\nzz\r\n")
    assert answer.status == 400
    missing = wire.send("GET", f"/{BUCKET}/broken")
    assert missing is not None and missing.status == 404
