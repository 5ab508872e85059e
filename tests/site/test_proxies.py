"""Trusted forwarding headers (D79): address, scheme and host, in S3, the request log, and all other views."""

import json
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.test import override_settings

from post3.checks import check_values
from post3.web.proxies import Client, find_client, was_forwarded

from ..raw import RawClient, RawResponse, read_response
from ..servers import ROOT, RUNNERS, Server

SETTINGS = "from post3_site.settings import *\nROOT_URLCONF = 'echo_urls'\n"
URLS = """
from django.http import HttpResponse
from django.urls import include, path

def echo(request):
    return HttpResponse(f"{request.META['REMOTE_ADDR']} {request.scheme} {request.get_host()}")

urlpatterns = [path("_/echo", echo), path("", include("post3.urls"))]
"""
TRUSTED, UNTRUSTED = "127.0.0.1", "127.0.0.2"
HOST = "s3.example:8443"


def start(make_server: Callable[..., Server], project: Any, runner: str, **environment: str) -> Server:
    (project / "echoing.py").write_text(SETTINGS)
    (project / "echo_urls.py").write_text(URLS)
    common = {
        "DJANGO_SETTINGS_MODULE": "echoing",
        "PYTHONPATH": f"{project}:{ROOT}",
        "POST3_ALLOWED_HOSTS": "localhost,127.0.0.1,s3.example",
        "POST3_REQUEST_LOG": "1",
        # A setting of uvicorn and gunicorn, which must have no effect.
        "FORWARDED_ALLOW_IPS": "*",
    }
    return make_server("sqlite-files", runner=runner, environment={**common, **environment})


@pytest.fixture(scope="module", params=[*RUNNERS])
def server_behind(
    request: pytest.FixtureRequest, make_server: Callable[..., Server], tmp_path_factory: pytest.TempPathFactory
) -> Server:
    networks = f"10.9.0.0/16, {TRUSTED},2001:db8::/32"
    return start(make_server, tmp_path_factory.mktemp("project"), request.param, POST3_TRUSTED_PROXIES=networks)


def send(server: Server, data: bytes, source: str = TRUSTED, method: str = "GET") -> RawResponse:
    """Send bytes from one of this machine's addresses."""
    with socket.create_connection((server.host, server.port), timeout=30, source_address=(source, 0)) as connection:
        connection.sendall(data)
        return read_response(connection, method)


def echo(server: Server, *headers: str, source: str = TRUSTED) -> tuple[str, str, str]:
    lines = ["GET /_/echo HTTP/1.1", "Host: localhost", *headers, "", ""]
    answer = send(server, "\r\n".join(lines).encode(), source)
    assert answer.status == 200, answer
    address, scheme, host = answer.body.decode().split()
    return address, scheme, host


def test_trusted_proxy_names_address_scheme_and_host(server_behind: Server) -> None:
    told = ("X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https", f"X-Forwarded-Host: {HOST}")
    assert echo(server_behind, *told) == ("203.0.113.9", "https", HOST)
    assert echo(server_behind, told[0]) == ("203.0.113.9", "http", "localhost")
    assert echo(server_behind, told[1]) == (TRUSTED, "https", "localhost")
    assert echo(server_behind, told[2]) == (TRUSTED, "http", HOST)
    assert echo(server_behind) == (TRUSTED, "http", "localhost")
    twice = ("X-Forwarded-For: 198.51.100.1, 203.0.113.9", "X-Forwarded-For: 10.9.1.1")
    assert echo(server_behind, *twice) == ("203.0.113.9", "http", "localhost")
    for other in ("Forwarded: for=1.2.3.4;proto=https;host=s3.example", "X-Real-IP: 1.2.3.4", "X-Forwarded-Ssl: on"):
        assert echo(server_behind, other) == (TRUSTED, "http", "localhost")
    assert echo(server_behind, "X-Forwarded-Protocol: ssl", "X-Forwarded-Scheme: https") == (TRUSTED, "http", "localhost")


@pytest.mark.parametrize(
    ("version", "headers"),
    [
        ("1.0", []),  # the default of nginx
        ("1.1", ["Connection: close"]),
        ("1.1", ["Expect: 100-continue", "Content-Length: 3"]),
        ("1.1", ["Connection: close", "Transfer-Encoding: chunked"]),
    ],
)
@pytest.mark.parametrize("path", ["/_/echo", "/_/health/live", "/bucket/key"])
def test_connections_that_end_with_their_request_are_answered_through_a_proxy(
    server_behind: Server, version: str, headers: list[str], path: str
) -> None:
    lines = [f"GET {path} HTTP/{version}", "Host: localhost", "X-Forwarded-For: 203.0.113.9", *headers, "", ""]
    body = {"Transfer-Encoding: chunked": b"0\r\n\r\n", "Content-Length: 3": b"abc"}.get(headers[-1] if headers else "", b"")
    answer = send(server_behind, "\r\n".join(lines).encode() + body)
    assert answer.status == (404 if path == "/bucket/key" else 200), answer
    if path == "/_/echo":
        assert answer.body.split()[0] == b"203.0.113.9"


def test_what_another_peer_says_is_ignored(server_behind: Server) -> None:
    told = ("X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https", f"X-Forwarded-Host: {HOST}")
    for headers in (told, told[:1], told[1:2], told[2:], (*told, "Forwarded: for=1.2.3.4;proto=https", "X-Real-IP: 1.2.3.4")):
        assert echo(server_behind, *headers, source=UNTRUSTED) == (UNTRUSTED, "http", "localhost")


def logged(server: Server, access_key: str, path: str) -> dict[str, Any]:
    """Return the request log's line about a key that no other test requests."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        for line in server.log().splitlines():
            if line.startswith("{") and (entry := json.loads(line))["key"] == path and entry["access_key"] == access_key:
                return entry
        time.sleep(0.1)
    raise AssertionError(f"no line of {path} in {server.log()}")


@pytest.mark.parametrize(("source", "remote", "scheme"), [(TRUSTED, "203.0.113.9", "https"), (UNTRUSTED, UNTRUSTED, "http")])
def test_request_log_and_locations_of_s3(server_behind: Server, source: str, remote: str, scheme: str) -> None:
    server = server_behind
    raw = RawClient(server.host, server.port, server.access_key, server.secret_key)
    told = [("X-Forwarded-For", "6.6.6.6, 203.0.113.9, 10.9.0.7"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", HOST)]
    s3 = server.client()
    bucket, key = f"behind-{source.replace('.', '-')}", f"key-{source}"
    s3.create_bucket(Bucket=bucket)
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    tag = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=1, Body=b"x")["ETag"]
    parts = f"<Part><PartNumber>1</PartNumber><ETag>{tag}</ETag></Part>"
    body = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
    headers = [("Content-Length", str(len(body))), *told]
    request = raw.sign("POST", f"/{bucket}/{key}", f"uploadId={upload}", body=body, unsigned_headers=headers)
    answer = send(server, request.head() + body, source, "POST")
    assert answer.status == 200, answer
    host = HOST if source == TRUSTED else f"{server.host}:{server.port}"
    assert f"<Location>{scheme}://{host}/{bucket}/{key}</Location>".encode() in answer.body
    seen = raw.sign("GET", f"/{bucket}/{key}-asked", unsigned_headers=told)
    assert send(server, seen.head(), source).status == 404
    assert logged(server, server.access_key, f"{key}-asked")["remote"] == remote


def test_virtual_host_that_a_proxy_names_is_refused(server_behind: Server) -> None:
    raw = RawClient(server_behind.host, server_behind.port, server_behind.access_key, server_behind.secret_key)
    for host in ("bkt.s3.example", "bkt.localhost", "a b"):
        request = raw.sign("PUT", "/forwarded-host", unsigned_headers=[("X-Forwarded-Host", host), ("Content-Length", "0")])
        assert send(server_behind, request.head(), TRUSTED, "PUT").status == 400
    answer = raw.send("HEAD", "/forwarded-host")
    assert answer is not None and answer.status == 404


def test_nobody_is_trusted_by_default(make_server: Callable[..., Server], tmp_path: Any) -> None:
    server = start(make_server, tmp_path, "uvicorn-plain")
    told = ("X-Forwarded-For: 203.0.113.9", "X-Forwarded-Proto: https", f"X-Forwarded-Host: {HOST}")
    assert echo(server, *told) == (TRUSTED, "http", "localhost")


@pytest.mark.parametrize("runner", ["uvicorn", "gunicorn-wsgi"])
def test_redirect_to_tls_and_hsts_are_the_consoles(make_server: Callable[..., Server], tmp_path: Any, runner: str) -> None:
    settings = {"POST3_TLS_REDIRECT": "1", "POST3_HSTS_SECONDS": "3600", "POST3_HSTS_INCLUDE_SUBDOMAINS": "1"}
    server = start(make_server, tmp_path, runner, POST3_TRUSTED_PROXIES=TRUSTED, **settings)
    plain = "GET /_/echo?a=b HTTP/1.1\r\nHost: s3.example\r\n"
    for headers, source in (("", TRUSTED), ("X-Forwarded-Proto: https\r\n", UNTRUSTED), ("X-Forwarded-Proto: http\r\n", TRUSTED)):
        answer = send(server, f"{plain}{headers}\r\n".encode(), source)
        assert (answer.status, answer.headers["location"]) == (301, "https://s3.example/_/echo?a=b")
        assert "strict-transport-security" not in answer.headers
    answer = send(server, f"{plain}X-Forwarded-Proto: https\r\n\r\n".encode())
    assert answer.status == 200
    assert answer.headers["strict-transport-security"] == "max-age=3600; includeSubDomains"
    for path, status in (("/_/health/live", 200), ("/_/metrics", 200), ("/bucket/key", 404)):
        assert send(server, f"GET {path} HTTP/1.1\r\nHost: s3.example\r\n\r\n".encode()).status == status
    server.client().create_bucket(Bucket="in-clear")


# --- The rule, in process
# ------------------------------------------------------------------------------------------------

PEER = "10.0.0.1"


@pytest.mark.parametrize(
    ("forwarded", "expected"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("6.6.6.6, 203.0.113.9", "203.0.113.9"),
        ("6.6.6.6,203.0.113.9,10.0.0.2, 10.0.0.3", "203.0.113.9"),
        ("10.0.0.9, 10.0.0.2", "10.0.0.9"),
        ("6.6.6.6, unknown", PEER),
        ("6.6.6.6, _hidden, 10.0.0.2", "10.0.0.2"),
        ("<script>, ", PEER),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("6.6.6.6, ::ffff:10.0.0.2", "6.6.6.6"),
        ("1" * 5000, PEER),
        ("", PEER),
    ],
)
def test_client_is_the_rightmost_address_that_is_not_trusted(forwarded: str, expected: str) -> None:
    with override_settings(POST3_TRUSTED_PROXIES=["10.0.0.0/8"]):
        assert find_client(PEER, "http", forwarded, "", "") == Client(expected, "http")
        assert find_client("203.0.113.1", "http", forwarded, "", "") == Client("203.0.113.1", "http")


@pytest.mark.parametrize(
    ("forwarded", "proto", "expected"),
    [
        ("203.0.113.9", "https", "https"),
        ("203.0.113.9", "HTTPS", "https"),
        ("203.0.113.9", "http, https", "https"),
        ("203.0.113.9", "https, http", "http"),
        ("203.0.113.9, 10.0.0.2", "https, http", "https"),
        ("203.0.113.9, 10.0.0.2", "http, https, http", "https"),
        ("203.0.113.9, 10.0.0.2", "https", "https"),
        ("203.0.113.9", "ftp", "http"),
        ("", "https", "https"),
    ],
)
def test_scheme_is_the_one_that_the_clients_own_proxy_saw(forwarded: str, proto: str, expected: str) -> None:
    with override_settings(POST3_TRUSTED_PROXIES=["10.0.0.0/8"]):
        assert find_client(PEER, "http", forwarded, proto, "").scheme == expected


@pytest.mark.parametrize(
    ("setting", "peer", "trusted"),
    [
        ("", PEER, False),
        ("", "", False),
        ("10.0.0.1", PEER, True),
        ("10.0.0.2", PEER, False),
        ("10.0.0.0/8", "::ffff:10.0.0.1", True),
        ("::1,192.0.2.0/24", "::1", True),
        ("0.0.0.0/0", "203.0.113.1", True),
        ("0.0.0.0/0", "", False),
        ("unix", "", True),
        ("unix", PEER, False),
    ],
)
def test_peers_are_trusted_by_network(setting: str, peer: str, trusted: bool) -> None:
    with override_settings(POST3_TRUSTED_PROXIES=setting.split(",") if setting else []):
        assert (find_client(peer, "http", "203.0.113.9", "", "").address == "203.0.113.9") == trusted


WRONG = ["*", "proxy.example", "10.0.0.1/8", "10.0.0.256", "10.0.0.0/33", "10.0.0.1 10.0.0.2", "loopback", ""]


@pytest.mark.parametrize("setting", [*([name] for name in WRONG), ["::1", "*"], "10.0.0.0/8", 5])
def test_wrong_networks_are_told(setting: object) -> None:
    with override_settings(POST3_TRUSTED_PROXIES=setting):
        assert [error.id for error in check_values()] == ["post3.E018"]


@pytest.mark.parametrize(
    "name", ["X-Forwarded-For", "x_forwarded_proto", "Forwarded", "VIA", "X-Real-IP", "X-Forwarded-Anything"]
)
def test_headers_that_tell_of_a_proxy(name: str) -> None:
    assert was_forwarded(["Host", name])
    assert not was_forwarded(["Host", "User-Agent", "X-Amz-Date", "Accept"])
