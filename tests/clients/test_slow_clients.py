"""Slow clients do not block others, lose nothing, and may disconnect."""

import hashlib
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from tests.raw import RawClient, connect, read_response
from tests.servers import Server

KIB, MIB = 1 << 10, 1 << 20
BUCKET = "slow"
#: The number of slow uploads, and of a process's threads for large bodies: far fewer.
UPLOADS, UPLOAD_THREADS = 10, 2


@pytest.fixture(scope="module", params=[("uvicorn", "sqlite-files"), ("gunicorn-asgi", "postgresql-blocks")], ids="-".join)
def served(request: pytest.FixtureRequest, make_server: Callable[..., Server]) -> Iterator[Server]:
    runner, kind = request.param
    server = make_server(kind, runner=runner, environment={"POST3_UPLOAD_THREADS": str(UPLOAD_THREADS)})
    server.client().create_bucket(Bucket=BUCKET)
    yield server
    server.stop()


@pytest.fixture
def wire(served: Server) -> RawClient:
    return RawClient(served.host, served.port, served.access_key, served.secret_key)


def body_of(name: str, size: int) -> bytes:
    return hashlib.shake_128(name.encode()).digest(size)


def begin_put(wire: RawClient, key: str, length: int) -> socket.socket:
    """Send the head of an upload."""
    request = wire.sign(
        "PUT", f"/{BUCKET}/{key}", payload_hash="UNSIGNED-PAYLOAD", unsigned_headers=[("Content-Length", str(length))]
    )
    connection = connect(wire)
    connection.sendall(request.head())
    return connection


def begin_get(wire: RawClient, key: str) -> socket.socket:
    """Request an object on a connection with a small buffer, so that unread data stays on the server."""
    connection = connect(wire, receive_buffer=64 * KIB)
    connection.sendall(wire.sign("GET", f"/{BUCKET}/{key}").head())
    return connection


def put(wire: RawClient, key: str, data: bytes) -> None:
    """Upload an object at full speed."""
    with begin_put(wire, key, len(data)) as connection:
        connection.sendall(data)
        answer = read_response(connection, "PUT")
    assert answer.status == 200, answer
    assert answer.headers["etag"] == f'"{hashlib.md5(data).hexdigest()}"'


def get(wire: RawClient, key: str) -> bytes:
    with connect(wire) as connection:
        connection.sendall(wire.sign("GET", f"/{BUCKET}/{key}").head())
        answer = read_response(connection)
    assert answer.status == 200, answer
    return answer.body


def test_slow_uploads_do_not_block_others(wire: RawClient) -> None:
    datas = [body_of(f"slow {number}", 2 * MIB) for number in range(UPLOADS)]
    with ExitStack() as stack:
        slow = [stack.enter_context(begin_put(wire, f"slow-{number}", 2 * MIB)) for number in range(UPLOADS)]
        for connection, data in zip(slow, datas, strict=True):
            connection.sendall(data[: 100 * KIB])
        for number in range(6):  # some for each process
            put(wire, f"quick-{number}", body_of(f"quick {number}", MIB + 17))
        # All continue at the same time, and wait for the few slots.
        with ThreadPoolExecutor(UPLOADS) as threads:
            list(threads.map(lambda pair: pair[0].sendall(pair[1][100 * KIB :]), zip(slow, datas, strict=True)))
            answers = list(threads.map(lambda connection: read_response(connection, "PUT"), slow))
    assert [answer.status for answer in answers] == [200] * UPLOADS
    for number, data in enumerate(datas):
        assert get(wire, f"slow-{number}") == data
        assert answers[number].headers["etag"] == f'"{hashlib.md5(data).hexdigest()}"'
    for number in range(6):
        assert get(wire, f"quick-{number}") == body_of(f"quick {number}", MIB + 17)


def test_slow_uploads_that_disconnect_leave_nothing(wire: RawClient, served: Server) -> None:
    with ExitStack() as stack:
        for number in range(UPLOADS):
            connection = stack.enter_context(begin_put(wire, f"gone-{number}", 2 * MIB))
            connection.sendall(body_of("gone", 1500 * KIB))
        time.sleep(1)  # long enough for all of them to be parked
    for number in range(6):
        put(wire, f"after-{number}", body_of(f"after {number}", MIB + 17))
    assert "Contents" not in served.client().list_objects_v2(Bucket=BUCKET, Prefix="gone-")


def test_slow_download_is_complete(wire: RawClient) -> None:
    data = body_of("large", 32 * MIB)
    put(wire, "large", data)
    with begin_get(wire, "large") as connection:
        time.sleep(1)
        answer = read_response(connection)
    assert answer.status == 200
    assert len(answer.body) == len(data) and answer.body == data
    # A client that pauses again and again, after the server has started to read ahead for it.
    with begin_get(wire, "large") as connection:
        received = b""
        while b"\r\n\r\n" not in received:
            received += connection.recv(64 * KIB)
        pieces = [received.partition(b"\r\n\r\n")[2]]
        count, pause_at = len(pieces[0]), 6 * MIB
        while count < len(data):
            pieces.append(connection.recv(64 * KIB))
            assert pieces[-1], f"interrupted after {count} bytes"
            count += len(pieces[-1])
            if count >= pause_at:
                time.sleep(0.2)
                pause_at += 6 * MIB
    assert b"".join(pieces) == data


def test_downloads_whose_clients_disconnect_do_not_block_the_server(wire: RawClient) -> None:
    """More clients than threads disconnect: immediately, while the server waits, and while it reads ahead."""
    data = body_of("left", 32 * MIB)
    put(wire, "left", data)
    for taken in (0, 1, 5 * MIB):
        for _ in range(8):
            with begin_get(wire, "left") as connection:
                left = taken
                while left > 0:
                    left -= len(connection.recv(min(left, MIB)))
        with ExitStack() as stack:
            for _ in range(8):
                assert stack.enter_context(begin_get(wire, "left")).recv(1)
    for _ in range(4):
        assert get(wire, "left") == data
    put(wire, "left-after", b"x" * (MIB + 17))
