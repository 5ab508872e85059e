"""`Expect: 100-continue`: a body of any size is requested once its request is authenticated."""  # B124

import base64
import contextlib
import hashlib
import io
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ..raw import RawClient, RawResponse, SignedRequest, read_response
from ..servers import Server

MIB = 1 << 20
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
SIZES = [0, 1, 1000, 262_144, 262_145, 6 * MIB]


def put(raw: RawClient, bucket: str, size: int, *more: tuple[str, str], key: str = "key", query: str = "") -> SignedRequest:
    headers = [("Expect", "100-continue"), ("Content-Length", str(size))]
    return raw.sign("PUT", f"/{bucket}/{key}", query, more, payload_hash="UNSIGNED-PAYLOAD", unsigned_headers=headers)


@contextlib.contextmanager
def sent(raw: RawClient, data: bytes) -> Iterator[socket.socket]:
    with socket.create_connection((raw.host, raw.port), timeout=30) as connection:
        connection.sendall(data)
        yield connection


def first(connection: socket.socket) -> bytes:
    """Return the first bytes received: "100 Continue", or the start of a final response."""
    data = b""
    while len(data) < len(CONTINUE) and (piece := connection.recv(len(CONTINUE) - len(data))):
        data += piece
    return data


def refused(connection: socket.socket, method: str = "PUT") -> RawResponse:
    """Return a final response that arrives without "100 Continue" and closes the connection (D7)."""
    assert connection.recv(12, socket.MSG_PEEK)[9:10] != b"1", "the server sent 100 Continue"
    answer = read_response(connection, method)
    assert answer.headers["connection"] == "close"
    assert connection.recv(1) == b""
    return answer


@pytest.mark.parametrize("size", SIZES)
def test_body_is_requested_and_stored(raw: RawClient, s3: Any, bucket: str, size: int) -> None:
    with sent(raw, put(raw, bucket, size).head()) as connection:
        assert first(connection) == CONTINUE
        connection.sendall(bytes(size))
        answer = read_response(connection, "PUT")
        assert answer.status == 200 and "connection" not in answer.headers
        connection.sendall(raw.sign("HEAD", f"/{bucket}/key").head())
        assert read_response(connection, "HEAD").headers["content-length"] == str(size)


@pytest.mark.parametrize("size", SIZES)
def test_client_that_does_not_wait_is_served(raw: RawClient, s3: Any, bucket: str, size: int) -> None:
    with sent(raw, put(raw, bucket, size).head() + bytes(size)) as connection:
        assert read_response(connection, "PUT").status == 200
        connection.sendall(raw.sign("HEAD", f"/{bucket}/key").head())
        assert read_response(connection, "HEAD").headers["content-length"] == str(size)


@pytest.mark.parametrize("size", SIZES)
def test_refused_request_gets_no_100_continue(server: Server, raw: RawClient, bucket: str, size: int) -> None:
    stranger = RawClient(raw.host, raw.port, "AKIAUNKNOWN000000000", "secret")
    forger = RawClient(raw.host, raw.port, raw.access_key, "wrong")
    digest = ("Content-MD5", "nonsense")
    cases = [
        (put(stranger, bucket, size), 403),
        (put(forger, bucket, size), 403),
        (put(raw, bucket, size, digest), 400),
        (put(forger, bucket, size, query="partNumber=1&uploadId=none"), 403),
    ]
    for request, status in cases:
        with sent(raw, request.head()) as connection:
            assert refused(connection).status == status
    anonymous = f"PUT /{bucket}/key HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\nExpect: 100-continue\r\n\r\n".encode()
    with sent(raw, anonymous) as connection:
        assert refused(connection).status in (400, 403)


@pytest.mark.parametrize("size", [1000, 300_000, 900_000])
@pytest.mark.parametrize("more", [(), (("Connection", "close"),)], ids=["", "closing"])
def test_refused_client_that_does_not_wait_reads_the_response(
    raw: RawClient, bucket: str, size: int, more: tuple[tuple[str, str], ...]
) -> None:
    """Closing immediately would reset the connection while the client sends, and the response would be lost."""
    forger = RawClient(raw.host, raw.port, raw.access_key, "wrong")
    for _ in range(5):
        with sent(raw, put(forger, bucket, size, *more).head()) as connection:
            for _ in range(10):
                connection.sendall(bytes(size // 10))
                time.sleep(0.01)
            assert refused(connection).status == 403


def test_documents_are_requested_after_authentication(raw: RawClient, bucket: str) -> None:
    body = b"<Delete><Object><Key>a</Key></Object></Delete>"
    md5 = base64.b64encode(hashlib.md5(body).digest()).decode()
    headers = [("Expect", "100-continue"), ("Content-Length", str(len(body))), ("Content-MD5", md5)]
    request = raw.sign("POST", f"/{bucket}", "delete=", [], body, unsigned_headers=headers)
    with sent(raw, request.head()) as connection:
        assert first(connection) == CONTINUE
        connection.sendall(body)
        assert read_response(connection, "POST").status == 200
    forger = RawClient(raw.host, raw.port, raw.access_key, "wrong")
    with sent(raw, forger.sign("POST", f"/{bucket}", "delete=", [], body, unsigned_headers=headers).head()) as connection:
        assert refused(connection, "POST").status == 403


def test_http_1_0_gets_no_100_continue(raw: RawClient, bucket: str) -> None:
    """RFC 9110, 10.1.1."""
    head = put(raw, bucket, 3).head().replace(b"HTTP/1.1", b"HTTP/1.0")
    with sent(raw, head + b"abc") as connection:
        assert first(connection) != CONTINUE


@pytest.mark.parametrize("size", [0, 10, 300_000])
def test_boto3_puts_streams_on_one_connection(server: Server, bucket: str, size: int) -> None:
    """botocore waits for "100 Continue" before sending a stream.

    It hangs if it takes an early response for a late one.
    """
    s3 = server.client(max_pool_connections=1, read_timeout=10)
    for number in range(5):
        s3.put_object(Bucket=bucket, Key=f"{number}", Body=io.BytesIO(bytes(size)))
        with pytest.raises(s3.exceptions.NoSuchBucket):
            s3.put_object(Bucket=f"none-{bucket}", Key="key", Body=io.BytesIO(bytes(size)))
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 5


def test_slow_senders_of_small_bodies_occupy_no_thread(make_server: Callable[..., Server]) -> None:
    """D6: the server gives up bodies that do not arrive within POST3_BODY_TIMEOUT, and serves others meanwhile."""
    limits = {"POST3_BODY_TIMEOUT": "4", "POST3_UPLOAD_THREADS": "2", "POST3_THREADS": "2"}
    server = make_server("sqlite-files", environment=limits)
    raw = RawClient(server.host, server.port, server.access_key, server.secret_key)
    server.client().create_bucket(Bucket="slow")
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(sent(raw, put(raw, "slow", 1000).head())) for _ in range(30)]
        assert [first(connection) for connection in slow] == [CONTINUE] * 30
        began = time.monotonic()
        for _ in range(3):
            assert raw.send("PUT", "/slow/quick", body=b"x").status == 200
            with sent(raw, put(raw, "slow", 5).head() + b"12345") as connection:
                assert read_response(connection, "PUT").status == 200
        assert time.monotonic() - began < 3.5
        for connection in slow[:3]:
            answer = read_response(connection, "PUT")
            assert answer.status == 400 and b"RequestTimeout" in answer.body
    server.stop()
