"""Pipelined requests wait in the buffers of the client and the system. Their number is not limited."""

import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from ..raw import RawClient, Responses, read_response
from ..servers import Server

BUCKET = "pipelining"
LIVE = b"GET /_/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.fixture(scope="module", params=[("uvicorn", "sqlite-files"), ("gunicorn-asgi", "postgresql-blocks")], ids="-".join)
def served(request: pytest.FixtureRequest, make_server: Callable[..., Server]) -> Iterator[Server]:
    runner, kind = request.param
    server = make_server(kind, runner=runner)
    server.client().create_bucket(Bucket=BUCKET)
    server.client().put_object(Bucket=BUCKET, Key="small", Body=b"0123456789")
    yield server
    server.stop()


@pytest.fixture
def wire(served: Server) -> RawClient:
    return RawClient(served.host, served.port, served.access_key, served.secret_key)


def exchange(wire: RawClient, data: bytes, methods: list[str]) -> list[int]:
    """Send all data from another thread. Return the status of the response to each method."""
    with socket.create_connection((wire.host, wire.port), timeout=30) as connection:
        sending = threading.Thread(target=connection.sendall, args=(data,))
        sending.start()
        responses = Responses(connection)
        statuses = [read_response(responses, method).status for method in methods]
        sending.join()
        return statuses


def signed(wire: RawClient, method: str, key: str, body: bytes = b"", chunked: bool = False) -> bytes:
    framing = ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", str(len(body)))
    kind = [("x-amz-decoded-content-length", str(len(body)))] if chunked else []
    payload_hash = "STREAMING-UNSIGNED-PAYLOAD-TRAILER" if chunked else None
    head = wire.sign(method, f"/{BUCKET}/{key}", "", kind, body, payload_hash=payload_hash, unsigned_headers=[framing]).head()
    if chunked:
        body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    return head + body


@pytest.mark.parametrize("count", [2, 32, 40, 300])
def test_gets_sent_ahead_are_all_answered(wire: RawClient, count: int) -> None:
    assert exchange(wire, signed(wire, "GET", "small") * count, ["GET"] * count) == [200] * count


@pytest.mark.parametrize("size", [0, 10, 20_000, 300_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_puts_sent_ahead_are_all_answered(wire: RawClient, served: Server, size: int, chunked: bool) -> None:
    bodies = [b"\r\n\r\n"[: size % 5] + bytes([number]) * (size - min(size, size % 5)) for number in range(40)]
    data = b"".join(signed(wire, "PUT", f"{number}", body, chunked) for number, body in enumerate(bodies))
    assert exchange(wire, data, ["PUT"] * 40) == [200] * 40
    for number in (0, 1, 20, 39):
        assert served.client().get_object(Bucket=BUCKET, Key=f"{number}")["Body"].read() == bodies[number]


def test_a_large_body_with_many_requests_behind_it(wire: RawClient) -> None:
    data = signed(wire, "PUT", "first", bytes(20_000)) + signed(wire, "GET", "small") * 60
    assert exchange(wire, data, ["PUT"] + ["GET"] * 60) == [200] * 61


def test_mixed_requests_sent_ahead_are_answered_in_order(wire: RawClient) -> None:
    kinds = [
        ("GET", "small", 200),
        ("HEAD", "missing", 404),
        ("PUT", "mixed", 200),
        ("DELETE", "mixed", 204),
        ("GET", "none", 404),
    ]
    data = b"".join(signed(wire, method, key) for method, key, _ in kinds) * 12
    assert exchange(wire, data, [method for method, _, _ in kinds] * 12) == [status for *_, status in kinds] * 12


def test_thousands_of_requests_sent_ahead(wire: RawClient) -> None:
    assert exchange(wire, LIVE * 3000, ["GET"] * 3000) == [200] * 3000


def test_byte_by_byte_and_in_odd_pieces(wire: RawClient) -> None:
    data = (signed(wire, "GET", "small") + signed(wire, "PUT", "odd", b"\r\n\r\n")) * 3
    for size in (1, 7, 601):
        with socket.create_connection((wire.host, wire.port), timeout=30) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for start in range(0, len(data), size):
                connection.sendall(data[start : start + size])
            responses = Responses(connection)
            assert [read_response(responses, "GET").status for _ in range(6)] == [200] * 6


def test_what_is_wrong_after_good_requests_is_refused_after_their_answers(wire: RawClient) -> None:
    for wrong in (b"garbage \x00\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/1.1\r\nContent-Length: x\r\n\r\n"):
        assert exchange(wire, signed(wire, "GET", "small") * 40 + wrong, ["GET"] * 41) == [200] * 40 + [400]


def test_nothing_after_connection_close_is_answered(wire: RawClient) -> None:
    last = b"GET /_/health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with socket.create_connection((wire.host, wire.port), timeout=30) as connection:
        connection.sendall(LIVE * 3 + last + LIVE * 3)
        responses = Responses(connection)
        assert [read_response(responses).status for _ in range(4)] == [200] * 4
        assert responses.makefile("rb").read() == b""
