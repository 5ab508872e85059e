"""A client that closes its sending side after its request still gets the whole response (RFC 9112, 9.6)."""  # B122

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ..helpers import random_bytes
from ..raw import RawClient, Responses, connect, read_response
from ..servers import Server

MIB = 1 << 20
LARGE = random_bytes(8 * MIB)
BUCKET = "half-closed"
SERVED = [
    ("uvicorn", "sqlite-files"),
    ("uvicorn-plain", "sqlite-files"),
    ("gunicorn-asgi", "sqlite-files"),
    ("gunicorn-asgi", "postgresql-blocks"),
]


@pytest.fixture(scope="module", params=SERVED, ids="-".join)
def served(request: pytest.FixtureRequest, make_server: Callable[..., Server]) -> Iterator[Server]:
    runner, kind = request.param
    server = make_server(kind, runner=runner, environment={"POST3_SEND_TIMEOUT": "2", "POST3_METRICS": "1"})
    s3 = server.client()
    s3.create_bucket(Bucket=BUCKET)
    s3.put_object(Bucket=BUCKET, Key="small", Body=b"0123456789")
    s3.put_object(Bucket=BUCKET, Key="large", Body=LARGE)
    yield server
    server.stop()


@pytest.fixture
def s3(served: Server) -> Any:
    return served.client()


@pytest.fixture
def wire(served: Server) -> RawClient:
    return RawClient(served.host, served.port, served.access_key, served.secret_key)


@contextlib.contextmanager
def half_closed(wire: RawClient, data: bytes) -> Iterator[socket.socket]:
    with socket.create_connection((wire.host, wire.port), timeout=30) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        yield connection


def request(wire: RawClient, method: str, key: str, query: str = "", body: bytes = b"", *headers: tuple[str, str]) -> bytes:
    length = [("Content-Length", str(len(body)))]
    return wire.sign(method, f"/{BUCKET}/{key}", query, headers, body, unsigned_headers=length).head() + body


def is_ended(connection: socket.socket) -> bool:
    return connection.recv(1) == b""


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(("key", "content"), [("small", b"0123456789"), ("large", LARGE)])
def test_get_and_head_are_answered_whole(wire: RawClient, method: str, key: str, content: bytes) -> None:
    with half_closed(wire, request(wire, method, key)) as connection:
        answer = read_response(connection, method)
        assert answer.status == 200 and answer.headers["content-length"] == str(len(content))
        assert answer.body == (content if method == "GET" else b"")
        assert is_ended(connection)


def test_half_close_midway_in_an_answer(wire: RawClient) -> None:
    with socket.create_connection((wire.host, wire.port), timeout=30) as connection:
        connection.sendall(request(wire, "GET", "large"))
        while len(connection.recv(100_000, socket.MSG_PEEK)) < 50_000:
            time.sleep(0.01)
        connection.shutdown(socket.SHUT_WR)
        assert read_response(connection).body == LARGE
        assert is_ended(connection)


@pytest.mark.parametrize("size", [0, 10, 300_000, 6 * MIB])
@pytest.mark.parametrize("expect", [(), (("Expect", "100-continue"),)], ids=["", "expect"])
def test_put_is_acknowledged(wire: RawClient, s3: Any, size: int, expect: tuple[tuple[str, str], ...]) -> None:
    with half_closed(wire, request(wire, "PUT", f"put-{size}", "", bytes(size), *expect)) as connection:
        assert read_response(connection, "PUT").status == 200
        assert is_ended(connection)
    assert s3.head_object(Bucket=BUCKET, Key=f"put-{size}")["ContentLength"] == size


def test_complete_multipart_upload_is_acknowledged(wire: RawClient, s3: Any) -> None:
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="parts")["UploadId"]
    etag = s3.upload_part(Bucket=BUCKET, Key="parts", UploadId=upload, PartNumber=1, Body=b"part")["ETag"]
    part = f"<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"
    body = f"<CompleteMultipartUpload>{part}</CompleteMultipartUpload>".encode()
    with half_closed(wire, request(wire, "POST", "parts", f"uploadId={upload}", body)) as connection:
        answer = read_response(connection, "POST")
        assert answer.status == 200 and b"CompleteMultipartUploadResult" in answer.body
        assert is_ended(connection)


def test_errors_and_other_pages_are_answered(wire: RawClient) -> None:
    unsigned = f"GET /{BUCKET}/small HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
    health = b"GET /_/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"
    for data, status in [(request(wire, "GET", "missing"), 404), (unsigned, 403), (b"garbage\r\n\r\n", 400), (health, 200)]:
        with half_closed(wire, data) as connection:
            assert read_response(connection).status == status
            assert is_ended(connection)


def test_requests_sent_ahead_are_all_answered(wire: RawClient, s3: Any) -> None:
    requests = [request(wire, "PUT", "ahead", "", b"a" * 20_000), request(wire, "GET", "large"), request(wire, "HEAD", "ahead")]
    requests += [request(wire, "GET", "ahead"), request(wire, "DELETE", "ahead")]
    with half_closed(wire, b"".join(requests) + b"GET /never") as connection:
        responses = Responses(connection)
        seen = [read_response(responses, method) for method in ("PUT", "GET", "HEAD", "GET", "DELETE")]
        assert [answer.status for answer in seen] == [200, 200, 200, 200, 204]
        assert seen[1].body == LARGE and seen[3].body == b"a" * 20_000
        assert is_ended(connection)


@pytest.mark.parametrize("size", [1000, 300_000, 3 * MIB])
def test_half_close_within_a_body_is_a_cut_off_upload(wire: RawClient, s3: Any, size: int) -> None:
    for cut_at in (0, size // 2, size - 1):
        head, body = request(wire, "PUT", "cut", "", bytes(size)).split(b"\r\n\r\n", 1)
        with half_closed(wire, head + b"\r\n\r\n" + body[:cut_at]) as connection, contextlib.suppress(ConnectionError):
            answer = connection.recv(MIB)
            assert not answer.startswith(b"HTTP/1.1 200")
    assert "Contents" not in s3.list_objects_v2(Bucket=BUCKET, Prefix="cut")


def test_connections_that_ask_nothing_end_at_once(wire: RawClient) -> None:
    for data in (b"", b"GET /", b"GET / HTTP/1.1\r\nHost: a\r\n"):
        with half_closed(wire, data) as connection:
            connection.settimeout(5)
            assert is_ended(connection)
    with socket.create_connection((wire.host, wire.port), timeout=5) as connection:
        connection.sendall(request(wire, "GET", "small"))
        assert read_response(connection).body == b"0123456789"
        connection.shutdown(socket.SHUT_WR)
        assert is_ended(connection)


@pytest.mark.parametrize("how", ["half-closed", "closed", "reset"])
def test_clients_that_take_nothing_hold_nothing(wire: RawClient, s3: Any, how: str) -> None:
    """Half-closed connections are held until POST3_SEND_TIMEOUT, closed ones only until the server notices."""
    connections = []
    for _ in range(40):
        connection = connect(wire, receive_buffer=65536)
        connection.sendall(request(wire, "GET", "large"))
        if how == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        if how == "half-closed":
            connection.shutdown(socket.SHUT_WR)
        else:
            connection.close()
        connections.append(connection)
    assert s3.get_object(Bucket=BUCKET, Key="large")["Body"].read() == LARGE
    deadline = time.monotonic() + 20
    while (held := established(wire.port)) > 2:
        assert time.monotonic() < deadline, f"{held} connections are held"
        time.sleep(0.1)
    for connection in connections:
        connection.close()


def established(port: int) -> int:
    """Return how many server sockets at a port of this machine are open or half-closed."""
    with open("/proc/net/tcp") as table:
        rows = [line.split() for line in list(table)[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] in ("01", "08") for row in rows)


def test_many_half_closed_clients_at_once(wire: RawClient) -> None:
    wrong: list[str] = []

    def ask(number: int) -> None:
        key, content = ("small", b"0123456789") if number % 2 else ("large", LARGE)
        with half_closed(wire, request(wire, "GET", key)) as connection:
            if read_response(connection).body != content:
                wrong.append(key)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
