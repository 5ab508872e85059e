"""The headers of every response: Server, and Date from the same clock as Last-Modified."""  # B123, B125

import email.utils
import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from post3.s3.responses import answer_date, http_time

from ..raw import RawClient, RawResponse, read_response
from ..servers import Server

BUCKET = "headers"


@pytest.fixture(
    scope="module",
    params=[
        ("uvicorn", "sqlite-files"),
        ("uvicorn-plain", "postgresql-blocks"),
        ("gunicorn-asgi", "sqlite-files"),
        ("gunicorn-wsgi", "sqlite-files"),
    ],
    ids="-".join,
)
def served(request: pytest.FixtureRequest, make_server: Callable[..., Server]) -> Iterator[Server]:
    runner, kind = request.param
    server = make_server(kind, runner=runner)
    server.client().create_bucket(Bucket=BUCKET)
    yield server
    server.stop()


@pytest.fixture
def wire(served: Server) -> RawClient:
    return RawClient(served.host, served.port, served.access_key, served.secret_key)


def moment(text: str) -> datetime:
    return email.utils.parsedate_to_datetime(text)


def named(answer: RawResponse, name: bytes) -> int:
    """Return how often a header occurs."""
    return sum(line.lower().startswith(name + b":") for line in answer.head.split(b"\r\n"))


def xml_moment(answer: RawResponse) -> datetime:
    text = answer.body.split(b"<LastModified>")[1].split(b"</LastModified>")[0].decode()
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def test_date_is_never_before_last_modified(wire: RawClient) -> None:
    """Forty attempts cross second boundaries, where a clock that is updated once per second would be late."""
    for number in range(40):
        before = datetime.now(UTC).replace(microsecond=0)
        assert wire.send("PUT", f"/{BUCKET}/{number}", body=b"x").status == 200
        head, get = wire.send("HEAD", f"/{BUCKET}/{number}"), wire.send("GET", f"/{BUCKET}/{number}")
        part = wire.send("GET", f"/{BUCKET}/{number}", headers=[("Range", "bytes=0-0")])
        since = wire.send("GET", f"/{BUCKET}/{number}", headers=[("If-None-Match", head.headers["etag"])])
        assert (head.status, get.status, part.status, since.status) == (200, 200, 206, 304)
        for answer in (head, get, part, since):
            assert moment(answer.headers["date"]) >= moment(answer.headers["last-modified"]) >= before
        copy = wire.send("PUT", f"/{BUCKET}/copy", headers=[("x-amz-copy-source", f"/{BUCKET}/{number}")])
        listed = wire.send("GET", f"/{BUCKET}", f"list-type=2&prefix={number}")
        for answer in (copy, listed):
            assert moment(answer.headers["date"]) >= xml_moment(answer) >= before
        time.sleep(0.05)


def test_every_answer_has_one_date_and_one_server(served: Server, wire: RawClient) -> None:
    wire.send("PUT", f"/{BUCKET}/large", body=bytes(3 << 20))
    answers = [
        wire.send("GET", f"/{BUCKET}/large"),
        wire.send("HEAD", f"/{BUCKET}/large"),
        wire.send("GET", f"/{BUCKET}/missing"),
        wire.send("DELETE", f"/{BUCKET}/missing"),
        wire.send("GET", f"/{BUCKET}/missing", signed=False),
        wire.send("PATCH", f"/{BUCKET}/missing"),
        wire.send("GET", "/_/health/live", signed=False),
        wire.send("GET", "/_/admin/login/", signed=False),
        wire.send("GET", "/_/static/admin/css/base.css", signed=False),
        wire.send("GET", "/_/nothing", signed=False),
    ]
    if served.runner != "gunicorn-wsgi":  # gunicorn itself refuses requests that it cannot parse
        answers += [wire.send_bytes(b"nonsense\r\n\r\n"), wire.send_bytes(b"GET / HTTP/1.1\r\nx: " + b"a" * 20_000 + b"\r\n\r\n")]
    for answer in answers:
        assert (named(answer, b"date"), named(answer, b"server")) == (1, 1), answer.head
        assert abs(moment(answer.headers["date"]) - datetime.now(UTC)) < timedelta(seconds=20)
        assert served.runner == "gunicorn-wsgi" or answer.headers["server"] == "post3"


def test_head_that_takes_too_long_is_refused_with_date_and_server(make_server: Callable[..., Server]) -> None:
    server = make_server("sqlite-files", environment={"POST3_HEAD_TIMEOUT": "1"})
    with socket.create_connection((server.host, server.port), timeout=20) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n")
        answer = read_response(connection)
    assert (answer.status, named(answer, b"date"), answer.headers["server"]) == (400, 1, "post3")
    server.stop()


def test_date_is_that_of_an_object_from_a_server_whose_clock_is_ahead() -> None:
    now = datetime.now(UTC)
    for ahead in (timedelta(seconds=90), timedelta(days=40), timedelta(days=400)):
        assert answer_date(http_time(now + ahead)) == http_time(now + ahead)
        assert abs(moment(answer_date(http_time(now - ahead))) - now) < timedelta(seconds=5)


def test_date_is_of_the_end_of_an_upload(served: Server, wire: RawClient) -> None:
    if served.runner == "gunicorn-wsgi":
        return
    for size in (2000, 300_000):
        request = wire.sign(
            "PUT", f"/{BUCKET}/slow", payload_hash="UNSIGNED-PAYLOAD", unsigned_headers=[("Content-Length", str(size))]
        )
        with socket.create_connection((wire.host, wire.port), timeout=20) as connection:
            connection.sendall(request.head() + bytes(size - 1))
            time.sleep(2.1)
            before = datetime.now(UTC).replace(microsecond=0)
            connection.sendall(b"x")
            assert moment(read_response(connection, "PUT").headers["date"]) >= before
