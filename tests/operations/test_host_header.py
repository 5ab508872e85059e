"""The Host header: a request that may be virtual-hosted is refused before anything is done (B160, D78)."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from ..helpers import refusal_of
from ..raw import RawClient, RawResponse
from ..servers import RUNNERS, Server

#: Served whatever the settings: an address, a single-label name, a localhost name.
SERVED = [
    *("127.0.0.1", "127.0.0.1:9000", "10.1.2.3:1", "203.0.113.7", "[::1]", "[::1]:9000", "[2001:DB8::7]", "[::ffff:10.0.0.1]:80"),
    *("localhost", "LOCALHOST:9000", "localhost.", "localhost:", "localhost.localdomain", "LocalHost.LocalDomain.:9000"),
    *("post3", "post3:9000", "POST3.", "my_service:80", "s3-gateway"),
]
#: Refused: names of several labels, and values that are not a host at all.
REFUSED = [
    *("bkt.s3.example.com", "bkt.s3.example.com:9000", "BKT.S3.EXAMPLE.COM", "bkt.s3.example.com.", "s3.example.com"),
    *(
        "bkt.localhost",
        "bkt.localhost:9000",
        "localhost.example.com",
        "a.localhost.localdomain",
        "bkt.127.0.0.1",
        "127.0.0.1.nip.io",
    ),
    *("1.2.3.256", "1.2.3", "127.1", "bkt.post3", "bkt.10.0.0.1:9000", "bücher.example"),
    *(
        "localhost:port",
        "localhost:99999",
        "localhost:9000:9000",
        "user@localhost",
        "localhost/x",
        "localhost,localhost",
        "..",
        ".",
    ),
    *(
        "[::1",
        "::1",
        "[::1]x",
        "[bkt.example.com]",
        "[127.0.0.1]",
        "local host",
        "",
        ":9000",
        "localhost..",
        "a" * 64,
        "a" * 5000,
    ),
]
#: Served by a server with these settings, in addition to SERVED.
NAMES = {
    "POST3_ALLOWED_HOSTS": "localhost,S3.Allowed.Example,.wild.example",
    "POST3_PUBLIC_ORIGIN": "https://S3.Public.Example:8443/s3",
}
TOLD = [
    *(
        "s3.allowed.example",
        "S3.ALLOWED.example.:9000",
        "wild.example",
        "a.b.wild.example",
        "s3.public.example",
        "s3.public.example:1",
    ),
]
NOT_TOLD = [
    "bkt.s3.allowed.example",
    "allowed.example",
    "notwild.example",
    "public.example",
    "bkt.s3.public.example",
    "x.example",
]


def fresh_name() -> str:
    return f"host-{uuid.uuid4().hex[:16]}"


def client_of(server: Server) -> RawClient:
    return RawClient(server.host, server.port, server.access_key, server.secret_key)


def exists(raw: RawClient, bucket: str) -> bool:
    answer = raw.send("HEAD", f"/{bucket}")
    assert answer is not None
    return answer.status == 200


def assert_refused(answer: RawResponse | None) -> None:
    refused = refusal_of(answer)
    assert (refused.status, refused.code) == (400, "InvalidRequest")
    assert "POST3_ALLOWED_HOSTS" in refused.message


@pytest.mark.parametrize("host", SERVED)
def test_request_to_an_address_a_single_label_or_localhost_is_served(raw: RawClient, host: str) -> None:
    name = fresh_name()
    for method, status in (("PUT", 200), ("HEAD", 200), ("DELETE", 204)):
        answer = raw.send(method, f"/{name}", headers=[("Host", host)])
        assert answer is not None and answer.status == status, answer


@pytest.mark.parametrize("host", REFUSED)
def test_request_to_another_host_is_refused_before_anything_is_done(raw: RawClient, bucket: str, host: str) -> None:
    name, headers = fresh_name(), [("Host", host)]
    assert_refused(raw.send("PUT", f"/{name}", headers=headers))
    assert not exists(raw, name), "the request was executed as path-style"
    assert_refused(raw.send("DELETE", f"/{bucket}", headers=headers))
    assert exists(raw, bucket), "the request was executed as path-style"
    for method in ("GET", "POST", "OPTIONS", "PATCH"):
        assert_refused(raw.send(method, f"/{bucket}", headers=headers))
    for path in ("/", f"/{bucket}/key", f"/{bucket}/key?acl"):
        assert_refused(raw.send("GET", path, headers=headers))
    head = raw.send("HEAD", f"/{bucket}", headers=headers)
    assert head is not None and head.status == 400


def test_large_body_to_another_host_is_refused(raw: RawClient, bucket: str) -> None:
    body = b"x" * (3 << 20)
    assert_refused(raw.send("PUT", f"/{bucket}/key", headers=[("Host", "bkt.s3.example.com")], body=body))
    assert raw.send("HEAD", f"/{bucket}/key").status == 404  # type: ignore[union-attr]


def test_presigned_url_to_another_host_is_refused(raw: RawClient, bucket: str) -> None:
    assert raw.send("PUT", f"/{bucket}/key", body=b"body").status == 200  # type: ignore[union-attr]
    query = raw.presign("GET", f"/{bucket}/key")
    wire = f"GET /{bucket}/key?{query} HTTP/1.1\r\nHost: {{}}\r\n\r\n"
    assert raw.send_bytes(wire.format(f"{raw.host}:{raw.port}").encode()).body == b"body"  # type: ignore[union-attr]
    assert_refused(raw.send_bytes(wire.format("bkt.s3.example.com").encode()))


def wire(request: Any, *, version: str = "1.1", hosts: tuple[str, ...] = (), target: str = "") -> bytes:
    """Return a signed request's bytes with its Host headers replaced."""
    lines = [f"{request.method} {target or request.target} HTTP/{version}"]
    lines += [f"Host: {host}" for host in hosts]
    lines += [f"{name}: {value}" for name, value in request.headers if name != "Host"]
    return "\r\n".join([*lines, "Content-Length: 0", "", ""]).encode()


@pytest.mark.parametrize("version", ["1.0", "1.1"])
@pytest.mark.parametrize(
    "hosts",
    [(), ("bkt.s3.example.com",), ("localhost", "bkt.s3.example.com"), ("bkt.s3.example.com", "localhost"), ("localhost",) * 2],
    ids=["none", "another", "localhost and another", "another and localhost", "localhost twice"],
)
def test_missing_or_repeated_host_is_refused(raw: RawClient, hosts: tuple[str, ...], version: str) -> None:
    name = fresh_name()
    request = raw.sign("PUT", f"/{name}", headers=[("Host", ",".join(hosts))])
    answer = raw.send_bytes(wire(request, version=version, hosts=hosts), "PUT")
    assert answer is not None and answer.status == 400
    assert not exists(raw, name)


def test_http_1_0_with_a_host_that_is_served(raw: RawClient) -> None:
    name = fresh_name()
    request = raw.sign("PUT", f"/{name}", headers=[("Host", "localhost")])
    answer = raw.send_bytes(wire(request, version="1.0", hosts=("localhost",)), "PUT")
    assert answer is not None and answer.status == 200
    assert exists(raw, name)


def send_absolute(raw: RawClient, authority: str, host: str, name: str) -> RawResponse:
    request = raw.sign("PUT", f"/{name}", headers=[("Host", host)])
    answer = raw.send_bytes(wire(request, hosts=(host,), target=f"http://{authority}/{name}"), "PUT")
    assert answer is not None
    return answer


@pytest.mark.parametrize(
    "authority", ["bkt.s3.example.com", "BKT.localhost:80", "localhost:1@bkt.example.com", "bkt.s3.example.com:9000"]
)
def test_absolute_form_names_the_host(raw: RawClient, authority: str) -> None:
    """The authority of the target counts, whatever Host contains (RFC 9112, 3.2.2)."""
    name = fresh_name()
    assert send_absolute(raw, authority, "localhost", name).status == 400
    assert send_absolute(raw, authority, authority, name).status == 400
    assert not exists(raw, name)
    assert send_absolute(raw, "localhost", "localhost", name).status == 200
    assert exists(raw, name)


@pytest.fixture(scope="module", params=[*RUNNERS])
def told(request: pytest.FixtureRequest, make_server: Callable[..., Server]) -> Server:
    """Start a server with the settings in NAMES, under each runner."""
    return make_server("sqlite-files", runner=request.param, environment=NAMES)


def test_names_of_the_settings_are_served_and_no_others(told: Server) -> None:
    raw = client_of(told)
    for host in (*SERVED, *TOLD):
        name = fresh_name()
        assert raw.send("PUT", f"/{name}", headers=[("Host", host)]).status == 200, host  # type: ignore[union-attr]
        assert exists(raw, name)
    for host in (*REFUSED, *NOT_TOLD):
        if told.runner == "gunicorn-wsgi" and not host.isascii():
            continue  # gunicorn refuses it itself
        name = fresh_name()
        answer = raw.send("PUT", f"/{name}", headers=[("Host", host)])
        assert answer is not None and answer.status == 400, host
        if answer.headers.get("content-type") == "application/xml":
            assert_refused(answer)
        assert not exists(raw, name), host


@pytest.mark.parametrize("hosts", [(), ("localhost", "wild.example")], ids=["none", "two"])
def test_missing_or_repeated_host_is_refused_under_every_runner(told: Server, hosts: tuple[str, ...]) -> None:
    raw, name = client_of(told), fresh_name()
    request = raw.sign("PUT", f"/{name}", headers=[("Host", ",".join(hosts))])
    answer = raw.send_bytes(wire(request, hosts=hosts), "PUT")
    assert answer is not None and answer.status == 400
    assert not exists(raw, name)


def test_absolute_form_names_the_host_under_every_runner(told: Server) -> None:
    raw, name = client_of(told), fresh_name()
    assert send_absolute(raw, "wild.example", "localhost", name).status == 200
    assert exists(raw, name)
    if told.runner != "uvicorn-plain":  # uvicorn's own protocol drops the authority, which leaves only Host
        name = fresh_name()
        assert send_absolute(raw, "bkt.s3.example.com", "localhost", name).status == 400
        assert not exists(raw, name)


def test_health_and_metrics_accept_any_host(told: Server) -> None:
    raw = client_of(told)
    for path in ("/_/health/live", "/_/health/ready", "/_/metrics"):
        for host in ("bkt.s3.example.com", "x", "203.0.113.7", "..", "localhost,localhost"):
            answer = raw.send_bytes(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
            assert answer is not None and answer.status == 200, (path, host)
        answer = raw.send_bytes(f"GET {path} HTTP/1.0\r\n\r\n".encode())
        assert answer is not None and answer.status == 200, path


def test_star_allows_every_host(make_server: Callable[..., Server]) -> None:
    server = make_server("sqlite-files", environment={"POST3_ALLOWED_HOSTS": "*"})
    raw, name = client_of(server), fresh_name()
    assert raw.send("PUT", f"/{name}", headers=[("Host", "any.name.example")]).status == 200  # type: ignore[union-attr]
    assert exists(raw, name)
    assert raw.send("PUT", f"/{name}", headers=[("Host", "no host")]).status == 400  # type: ignore[union-attr]
