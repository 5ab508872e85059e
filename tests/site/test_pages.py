"""Limits of requests outside S3: the size of their bodies, and their threads."""

import contextlib
import http.client
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.core.handlers.asgi import ASGIRequest
from django.http import UnreadablePostError

from post3.server.bodies import MemoryBody, StreamedFile

from ..raw import RawClient, RawResponse, read_response
from ..servers import Server

MIB = 1 << 20
LOGIN = "/_/admin/login/"
#: Paths outside S3: the login, a page that redirects to it, probes, static files, and a page that does not exist.
PATHS = [LOGIN, "/_/admin/post3/bucket/", "/_/health/live", "/_/health/ready", "/_/metrics", "/_/static/x.css", "/_/nothing"]
MULTIPART = "multipart/form-data; boundary=b"
FILE = b'--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\nContent-Type: application/octet-stream\r\n\r\n'


@pytest.fixture(scope="session", params=["uvicorn", "gunicorn-asgi", "gunicorn-wsgi"])
def stand(request: pytest.FixtureRequest, make_server: Callable[..., Server], tmp_path_factory: Any) -> Iterator[Server]:
    """A server for each way of serving, with a separate directory for temporary files."""
    temporary = tmp_path_factory.mktemp("temporary")
    kind = "postgresql-blocks" if request.param == "gunicorn-asgi" else "sqlite-files"
    yield make_server(kind, runner=request.param, environment={"TMPDIR": str(temporary)})


def ask(server: Server, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> RawResponse:
    """Send one request. The server may refuse its body before all of it is sent."""
    with socket.create_connection((server.host, server.console_port), timeout=30) as connection:
        lines = [
            f"{method} {path} HTTP/1.1",
            f"Host: {server.host}:{server.console_port}",
            *(f"{k}: {v}" for k, v in headers.items()),
        ]
        connection.sendall("\r\n".join([*lines, "", ""]).encode())
        with contextlib.suppress(OSError):  # refused while being sent; the response is still read
            connection.sendall(body)
        return read_response(connection, method)


def form(server: Server, path: str, content_type: str, body: bytes, chunked: bool = False) -> RawResponse:
    if chunked:
        pieces = [body[i : i + 65536] for i in range(0, len(body), 65536)]
        body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    length = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": str(len(body))}
    return ask(server, "POST", path, {"Content-Type": content_type, **length}, body)


def temporary_files(server: Server) -> list[Path]:
    return list(Path(server.environment["TMPDIR"]).rglob("*.upload*"))


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", ["multipart", "urlencoded", "other"])
def test_form_announced_larger_than_allowed_is_refused_before_it_is_read(stand: Server, path: str, kind: str) -> None:
    content_type = {"multipart": MULTIPART, "urlencoded": "application/x-www-form-urlencoded"}.get(kind, "text/plain")
    # Under WSGI, probes accept no body.
    expected = 405 if stand.runner == "gunicorn-wsgi" and ("health" in path or "metrics" in path) else 413
    headers = {"Content-Type": content_type, "Content-Length": str(400 * MIB)}
    answer = ask(stand, "POST", path, headers, FILE)
    assert answer.status == expected, answer
    assert len(answer.body) < 1000


@pytest.mark.parametrize("path", PATHS)
def test_chunked_form_larger_than_allowed_fills_no_disk(stand: Server, path: str) -> None:
    answer = form(stand, path, MULTIPART, FILE + b"x" * (3 * MIB) + b"\r\n--b--\r\n", chunked=True)
    # Django's WSGI request treats a chunked body as empty.
    assert answer.status == 413 if stand.runner != "gunicorn-wsgi" else answer.status in (403, 404, 405), answer
    assert not temporary_files(stand)


@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "chunked"])
def test_form_of_a_file_below_the_limit_stays_in_memory(stand: Server, chunked: bool) -> None:
    answer = form(stand, LOGIN, MULTIPART, FILE + b"x" * (MIB - 1000) + b"\r\n--b--\r\n", chunked=chunked)
    assert answer.status == 403, answer  # no CSRF token
    assert not temporary_files(stand)


MANY = {
    "many small parts": (MULTIPART, b'--b\r\nContent-Disposition: form-data; name="f"\r\n\r\n1\r\n' * 12_000 + b"--b--\r\n"),
    "many files": (MULTIPART, (FILE + b"1\r\n") * 8_000 + b"--b--\r\n"),
    "many fields": ("application/x-www-form-urlencoded", b"a=1&" * 200_000),
    "many empty fields": ("application/x-www-form-urlencoded", b"&" * 1_000_000),
    "nested boundaries": (MULTIPART, b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n" * 10_000),
    "no boundary at the end": (MULTIPART, FILE),
    "no boundary": ("multipart/form-data", FILE),
    "a boundary that is no text": ("multipart/form-data; boundary=\xff\xfe", FILE),
    "a long boundary": (f"multipart/form-data; boundary={'b' * 5000}", b"--" + b"b" * 5000 + b"\r\n\r\n"),
    "a long header of a part": (MULTIPART, b"--b\r\nContent-Disposition: " + b"x" * 900_000 + b"\r\n\r\n1\r\n--b--\r\n"),
    "an unknown charset": ("application/x-www-form-urlencoded; charset=nonsense", b"a=1"),
    "bad base64": (MULTIPART, FILE.replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: base64\r\n\r\n") + b"@@@\r\n--b--\r\n"),
}


@pytest.mark.parametrize("name", MANY)
def test_malformed_form_is_refused_quickly(stand: Server, name: str) -> None:
    content_type, body = MANY[name]
    began = time.monotonic()
    answer = form(stand, LOGIN, content_type, body)
    assert answer.status in (400, 403), answer
    assert time.monotonic() - began < 10
    assert not temporary_files(stand)
    assert "Internal Server Error" not in stand.log()


@pytest.mark.parametrize("sent", [0, 1, 500])
@pytest.mark.parametrize("kind", [MULTIPART, "application/x-www-form-urlencoded"])
def test_form_cut_off_by_its_client_leaves_no_error(stand: Server, sent: int, kind: str) -> None:
    body = FILE + b"x" * 2000
    for path in (LOGIN, "/_/admin/post3/apikey/add/", "/_/nothing"):
        with socket.create_connection((stand.host, stand.console_port), timeout=30) as connection:
            head = f"POST {path} HTTP/1.1\r\nHost: {stand.host}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body[:sent])
    with socket.create_connection((stand.host, stand.console_port), timeout=30) as connection:
        head = f"POST {LOGIN} HTTP/1.1\r\nHost: {stand.host}\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n"
        connection.sendall(head.encode() + b"100\r\nabc")
    time.sleep(0.5)
    assert ask(stand, "GET", "/_/health/live", {}).status == 200
    log = stand.log()
    assert "Traceback" not in log and "Internal Server Error" not in log, log[-3000:]


def test_signed_get_and_probes_answer_while_passwords_are_guessed(stand: Server) -> None:
    s3 = stand.client()
    s3.create_bucket(Bucket="guessed")
    s3.put_object(Bucket="guessed", Key="key", Body=b"bytes")
    raw = RawClient(stand.host, stand.port, stand.access_key, stand.secret_key)

    page = ask(stand, "GET", LOGIN, {})
    cookie = page.headers["set-cookie"].split(";")[0]
    token = page.body.decode().split('csrfmiddlewaretoken" value="')[1].split('"')[0]

    def guess(number: int) -> int:
        # Every guess is for another user, so that no guess is refused before its password is hashed.
        fields = f"csrfmiddlewaretoken={token}&username=user{number}&password=wrong&next=/_/admin/"
        headers = {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"}
        with contextlib.closing(http.client.HTTPConnection(stand.host, stand.console_port, timeout=120)) as connection:
            connection.request("POST", LOGIN, fields, headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status

    with ThreadPoolExecutor(16) as pool:
        guesses = [pool.submit(guess, number) for number in range(16)]
        slowest: dict[str, float] = {}
        while not all(future.done() for future in guesses):
            for path in ("/guessed/key", "/_/health/live", "/_/health/ready", "/_/metrics"):
                began = time.monotonic()
                answer = raw.send("GET", path) if path == "/guessed/key" else ask(stand, "GET", path, {})
                assert answer is not None and answer.status == 200, answer
                slowest[path] = max(slowest.get(path, 0.0), time.monotonic() - began)
    assert slowest and max(slowest.values()) < 3, slowest
    assert {future.result() for future in guesses} <= {200, 429, 503}


def test_more_requests_than_may_wait_are_refused_at_once(make_server: Callable[..., Server]) -> None:
    server = make_server("sqlite-files", environment={"POST3_CONSOLE_THREADS": "1"})

    def page(number: int) -> tuple[int, str | None]:
        answer = ask(server, "GET", f"{LOGIN}?{number}", {"Connection": "close"})
        return answer.status, answer.headers.get("retry-after")

    with ThreadPoolExecutor(200) as pool:
        answers = set(pool.map(page, range(400)))
    assert answers == {(200, None), (503, "2")}
    assert ask(server, "GET", LOGIN, {}).status == 200


def test_form_of_a_projects_page_that_is_cut_off_is_a_client_gone_to_django() -> None:
    """The view itself reads the body only for a project's own pages."""
    headers = [(b"content-type", b"application/x-www-form-urlencoded"), (b"content-length", b"9")]
    scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "headers": headers}
    assert ASGIRequest(scope, StreamedFile(MemoryBody(b"a=1", True))).POST["a"] == "1"
    with pytest.raises(UnreadablePostError):
        ASGIRequest(scope, StreamedFile(MemoryBody(b"a=1", False))).POST  # noqa: B018


def test_metrics_tell_of_the_threads_of_the_console(stand: Server) -> None:
    page = ask(stand, "GET", "/_/metrics", {}).body.decode()
    assert 'post3_threads{pool="console",state="idle"}' in page and 'post3_calls_waiting{pool="console"}' in page
