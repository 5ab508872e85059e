"""The console's own origin, over HTTP, under every server.

S3 is not served at the console's address, and the console is not served anywhere else.
"""

import contextlib
import re
import socket
from collections.abc import Callable
from typing import Any

import pytest

from ..raw import RawClient, RawResponse
from ..servers import RUNNERS, Server

#: Runners that listen on two addresses.
ON_TWO_PORTS = sorted(RUNNERS.keys() - {"uvicorn-plain"})
CONSOLE_PATHS = ["/_/admin/", "/_/admin/login/", "/_/admin/post3/apikey/add/", "/_/static/admin/css/base.css", "/_/admin"]
S3_REQUESTS = [
    ("GET", "/"),
    ("GET", "/{bucket}"),
    ("GET", "/{bucket}/key"),
    ("PUT", "/{bucket}/new"),
    ("DELETE", "/{bucket}/key"),
]


@pytest.fixture(scope="module", params=ON_TWO_PORTS)
def apart(request: pytest.FixtureRequest, make_server: Callable[..., Server]) -> Server:
    """Start a server of each kind that listens on two addresses, with a bucket and an object."""
    server = make_server("sqlite-files", runner=request.param)
    server.client().create_bucket(Bucket="bucket")
    server.client().put_object(Bucket="bucket", Key="key", Body=b"<script>", ContentType="text/html")
    return server


def at(server: Server, port: int) -> RawClient:
    return RawClient(server.host, port, server.access_key, server.secret_key)


def ask(server: Server, port: int, path: str, host: str = "", method: str = "GET") -> RawResponse:
    lines = f"{method} {path} HTTP/1.1\r\nHost: {host or f'{server.host}:{port}'}\r\nAccept: text/html\r\n\r\n"
    answer = at(server, port).send_bytes(lines.encode(), method)
    assert answer is not None
    return answer


@pytest.mark.parametrize("path", CONSOLE_PATHS)
def test_s3s_address_serves_no_console(apart: Server, path: str) -> None:
    answer = ask(apart, apart.port, path)
    assert answer.status == 404 and "set-cookie" not in answer.headers
    assert answer.headers["content-type"].partition(";")[0] in ("text/plain", "application/xml")
    assert b"csrf" not in answer.body and b"<form" not in answer.body


@pytest.mark.parametrize("path", CONSOLE_PATHS)
def test_the_host_header_of_the_console_opens_nothing_on_s3s_address(apart: Server, path: str) -> None:
    assert ask(apart, apart.port, path, f"{apart.host}:{apart.console_port}").status in (400, 404)


@pytest.mark.parametrize(("method", "path"), S3_REQUESTS)
def test_the_consoles_address_serves_no_s3(apart: Server, method: str, path: str) -> None:
    client, target = at(apart, apart.console_port), path.format(bucket="bucket")
    answer = client.send(method, target)
    assert answer.status == (302 if path == "/" else 404), answer
    assert "x-amz-request-id" not in answer.headers and b"<script>" not in answer.body
    presigned = client.send(method, target, client.presign(method, target), signed=False)
    assert presigned.status == answer.status and b"<script>" not in presigned.body
    assert at(apart, apart.port).send("GET", "/bucket/key").body == b"<script>"
    assert at(apart, apart.port).send("GET", "/bucket/new").status == 404


def test_a_host_header_of_s3_opens_nothing_on_the_consoles_address(apart: Server) -> None:
    target = "/bucket/key"
    client = RawClient(apart.host, apart.console_port, apart.access_key, apart.secret_key)
    answer = client.send("GET", target, headers=[("Host", f"{apart.host}:{apart.port}")])
    assert answer.status == 404 and b"<script>" not in answer.body


def test_both_roots_lead_a_browser_to_the_console(apart: Server) -> None:
    answer = ask(apart, apart.port, "/")
    assert (answer.status, answer.headers["location"]) == (302, f"{apart.console_url}/_/admin/")
    assert ask(apart, apart.console_port, "/").headers["location"] == "/_/admin/"
    login = ask(apart, apart.console_port, "/_/admin/login/")
    assert login.status == 200 and b"csrfmiddlewaretoken" in login.body
    assert ask(apart, apart.console_port, "/_/static/admin/css/base.css").status == 200


def test_health_and_metrics_are_on_both(apart: Server) -> None:
    for port in (apart.port, apart.console_port):
        for path in ("/_/health/live", "/_/health/ready", "/_/metrics"):
            assert ask(apart, port, path).status == 200, (port, path)


def test_the_consoles_address_answers_to_its_own_hosts_only(apart: Server) -> None:
    """Otherwise an attacker could point a name of theirs here, which would make their origin the console's."""
    assert ask(apart, apart.console_port, "/_/admin/login/", "evil.example.com").status == 400


def test_objects_are_sandboxed_and_keep_their_types(apart: Server) -> None:
    s3 = apart.client()
    stored = {"ContentType": "text/html", "Metadata": {"content-security-policy": "x", "x": "y"}, "CacheControl": "no-cache"}
    s3.put_object(Bucket="bucket", Key="large", Body=b"<p>" * 1_000_000, **stored)
    client = at(apart, apart.port)
    query = "response-content-type=image%2Fsvg%2Bxml&response-content-disposition=inline&response-cache-control=x"
    for answer in (
        client.send("GET", "/bucket/key"),
        client.send("GET", "/bucket/large"),
        client.send("GET", "/bucket/large", headers=[("Range", "bytes=10-20")]),
        client.send("GET", "/bucket/large", "partNumber=1"),
        client.send("GET", "/bucket/large", query),
        client.send("GET", "/bucket/key", client.presign("GET", "/bucket/key", query), signed=False),
        client.send("HEAD", "/bucket/key"),
    ):
        assert answer.status in (200, 206), answer
        for name, value in (("content-security-policy", "sandbox"), ("x-content-type-options", "nosniff")):
            found = re.findall(rb"^%s: *(.*)\r$" % name.encode(), answer.head, re.MULTILINE | re.IGNORECASE)
            assert found == [value.encode()], (name, answer.head)


@pytest.fixture(scope="module", params=["uvicorn", "uvicorn-plain", "gunicorn-asgi", "gunicorn-wsgi"])
def named(request: pytest.FixtureRequest, make_server: Callable[..., Server]) -> Server:
    """Start a server whose console has a host name and no port."""
    environment = {"POST3_CONSOLE_HOST": "console.example.com"}
    server = make_server("sqlite-files", runner=request.param, environment=environment)
    server.client().create_bucket(Bucket="bucket")
    server.client().put_object(Bucket="bucket", Key="key", Body=b"<script>", ContentType="text/html")
    return server


def test_a_separate_host_name_serves_only_the_console(named: Server) -> None:
    for host in ("console.example.com", "console.example.com:8080", "CONSOLE.example.com"):
        assert ask(named, named.port, "/_/admin/login/", host).status == 200
        assert ask(named, named.port, "/bucket/key", host).status == 404
    client = RawClient(named.host, named.port, named.access_key, named.secret_key)
    signed = client.send("GET", "/bucket/key", headers=[("Host", "console.example.com")])
    assert signed.status == 404 and b"<script>" not in signed.body
    assert ask(named, named.port, "/_/admin/login/").status == 404
    port = named.port
    assert ask(named, port, "/").headers["location"] == f"http://console.example.com:{port}/_/admin/"


def test_objects_need_no_sandbox_if_the_console_has_a_separate_host_name(named: Server) -> None:
    answer = at(named, named.port).send("GET", "/bucket/key")
    assert answer.headers["x-content-type-options"] == "nosniff" and "content-security-policy" not in answer.headers


@pytest.mark.parametrize("runner", ["uvicorn", "gunicorn-wsgi"])
def test_the_console_can_have_both_a_host_name_and_a_port(make_server: Callable[..., Server], runner: str) -> None:
    from ..servers import free_port

    port = free_port()
    server = make_server(
        "sqlite-files", runner=runner, environment={"POST3_CONSOLE_HOST": f"console.example.com:{port}"}, console_port=port
    )
    for asked in ((server.port, "console.example.com"), (port, "console.example.com"), (port, f"console.example.com:{port}")):
        assert ask(server, asked[0], "/_/admin/login/", asked[1]).status == 200, asked
    assert ask(server, server.port, "/_/admin/login/").status == 404
    assert ask(server, server.port, "/").headers["location"] == f"http://console.example.com:{port}/_/admin/"
    server.stop()


@pytest.mark.parametrize("value", ["9001", "http://console.example.com", "127.0.0.1:0", "a b"])
def test_a_wrong_console_host_stops_the_server_with_a_sentence(make_server: Callable[..., Server], value: str) -> None:
    server: Any = make_server("sqlite-files")
    server.stop()
    server.environment["POST3_CONSOLE_HOST"] = value
    for runner in RUNNERS:
        server.runner = runner
        with pytest.raises(RuntimeError, match="POST3_CONSOLE_HOST"):
            server.run()
        assert "Traceback" not in server.log()


def test_gunicorn_serves_only_s3_if_the_consoles_default_port_is_in_use(make_server: Callable[..., Server]) -> None:
    with contextlib.ExitStack() as open_here:
        with contextlib.suppress(OSError):  # the port is already in use by another process
            open_here.enter_context(socket.create_server(("127.0.0.1", 9001)))
        server = make_server("sqlite-files", runner="gunicorn-asgi", environment={"POST3_CONSOLE_HOST": ""})
        server.client().create_bucket(Bucket="alone")
        assert ask(server, server.port, "/_/admin/login/").status == 404
        assert "The port 9001 is in use, so the console is not served here (POST3_CONSOLE_HOST)." in server.log()
