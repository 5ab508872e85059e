"""S3 under a prefix: the path is signed as sent, and the prefix is matched by segments, never by its length.

Previously, a URL that was signed for one bucket could read another bucket's object if one of its slashes was
percent-encoded.
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from ..raw import RawClient, RawResponse
from ..servers import ROOT, Server

SETTINGS = "from post3_site.settings import *\nROOT_URLCONF = 'mounted_urls'\n"
URLS = """
from django.urls import include, path, re_path
from post3.telemetry import health

S3 = include("post3.urls")
urlpatterns = [
    path("s3/", S3),
    path("größe/", S3),
    path("a b/c%d/", S3),
    re_path("^re(?:gex)?/", S3),
    re_path("^named/(?P<tenant>[a-z]+)/", S3),
    path("of/<slug:tenant>/", S3),
    path("_/health/ready", health.ready),
]
"""
DJANGO_ASGI = "from django.core.asgi import get_asgi_application\napplication = get_asgi_application()\n"
DJANGO_WSGI = "from django.core.wsgi import get_wsgi_application\napplication = get_wsgi_application()\n"
RUNNERS = {
    "post3's protocol": "uvicorn",
    "plain uvicorn": "uvicorn-plain",
    "gunicorn's worker": "gunicorn-asgi",
    "gunicorn's WSGI": "gunicorn-wsgi",
    "Django's ASGI handler": "uvicorn --host {host} --port {port} --no-access-log django_asgi:application",
    "Django's WSGI handler": "gunicorn --bind {host}:{port} --threads 8 django_wsgi",
}
#: Mounts as a client encodes them, and other encodings of the same paths.
MOUNTS = {
    "/s3": ["/%733", "/s%33", "/%73%33"],
    "/gr%C3%B6%C3%9Fe": ["/gr%c3%b6%c3%9fe", "/%67r%C3%B6%C3%9Fe"],
    "/a%20b/c%25d": ["/%61%20b/c%25%64"],
    "/re": ["/%72e"],
    "/regex": ["/%72egex"],
    "/named/acme": ["/named/%61cme"],
    "/of/acme": ["/%6ff/acme"],
}
#: "bkt", and the names that would remain if a prefix were cut off by its length although a slash is percent-encoded.
BUCKETS = ["bkt", "2fbkt", "fbkt", "kt1", "733", "s3bkt", "3bkt"]


@pytest.fixture(scope="module", params=RUNNERS)
def mounted(
    request: pytest.FixtureRequest, make_server: Callable[..., Server], tmp_path_factory: pytest.TempPathFactory
) -> Server:
    """A server of a project that has S3 at each of MOUNTS."""
    return start(make_server, tmp_path_factory.mktemp("project"), RUNNERS[request.param])


def start(make_server: Callable[..., Server], project: Path, runner: str) -> Server:
    files = {"mounted": SETTINGS, "mounted_urls": URLS, "django_asgi": DJANGO_ASGI, "django_wsgi": DJANGO_WSGI}
    for name, text in files.items():
        (project / f"{name}.py").write_text(text)
    environment = {"DJANGO_SETTINGS_MODULE": "mounted", "PYTHONPATH": f"{project}:{ROOT}"}
    return make_server("sqlite-files", runner=runner, environment=environment)


def client_of(server: Server) -> RawClient:
    return RawClient(server.host, server.port, server.access_key, server.secret_key)


def fill(raw: RawClient, mount: str, signed: str) -> None:
    """Store an object in each bucket, with the bucket's name as its content."""
    for bucket in BUCKETS:
        for path, body in ((f"/{bucket}", b""), (f"/{bucket}/key", bucket.encode())):
            assert send(raw, "PUT", f"{mount}{path}", f"{signed}{path}", body).status in (200, 409)


def send(raw: RawClient, method: str, path: str, signed: str, body: bytes = b"") -> RawResponse:
    """Send a request for `path` with the signature for the path `signed`."""
    request = raw.sign(method, signed, body=body, unsigned_headers=[("Content-Length", str(len(body)))])
    request.target = path
    answer = raw.send_bytes(request.head() + body, method)
    assert answer is not None
    return answer


@pytest.mark.parametrize("mount", MOUNTS)
def test_objects_below_every_kind_of_mount(mounted: Server, mount: str) -> None:
    raw = client_of(mounted)
    fill(raw, mount, mount)
    for way in (mount, *MOUNTS[mount]):
        for bucket in BUCKETS:
            answer = send(raw, "GET", f"{way}/{bucket}/key", f"{mount}/{bucket}/key")
            assert (answer.status, answer.body) == (200, bucket.encode()), way
        query = raw.presign("GET", f"{mount}/bkt/key")
        answer = raw.send_bytes(f"GET {way}/bkt/key?{query} HTTP/1.1\r\nHost: {raw.host}:{raw.port}\r\n\r\n".encode())
        assert answer is not None and (answer.status, answer.body) == (200, b"bkt"), way


BENT = [
    *("{m}%2Fbkt/key", "{m}%2fbkt/key", "{m}%2fbkt%2fkey", "{m}/bkt%2fkey", "{m}%2f/bkt/key", "{m}//bkt/key", "/{m}/bkt/key"),
    *("{m}/./bkt/key", "{m}/../bkt/key", "{m}/%2e%2e/bkt/key", "/%2e{m}/bkt/key", "/x/..{m}/bkt/key", "%2f{m}/bkt/key"),
    *("{m}%5Cbkt/key", "{m};/bkt/key", "{m}%00/bkt/key", "{m}%20/bkt/key", "{m}{m}/bkt/key", "/{e}/bkt/key"),
]


@pytest.mark.parametrize("mount", MOUNTS)
def test_bent_path_never_reaches_another_object(mounted: Server, mount: str) -> None:
    raw = client_of(mounted)
    fill(raw, mount, mount)
    for bent in BENT:
        path = bent.format(m=mount, e=mount[1:].replace("/", "%2f") + "%2f")
        # The signature covers the decoded path, so the signature for the normal path is also valid for many bent paths.
        for signed in (f"{mount}/bkt/key", path):
            for method, body in (("GET", b""), ("PUT", b"overwritten")):
                answer = send(raw, method, path, signed, body)
                assert answer.status >= 400, (method, path, answer.body)
    for bucket in BUCKETS:
        assert send(raw, "GET", f"{mount}/{bucket}/key", f"{mount}/{bucket}/key").body == bucket.encode()


def test_root_path_that_a_proxy_has_stripped(make_server: Callable[..., Server], tmp_path: Path) -> None:
    """With `uvicorn --root-path`, the client signs /api and the proxy removes it."""
    runner = (
        "uvicorn --host {host} --port {port} --http post3.server.fast_path:Protocol --root-path /api post3_site.asgi:application"
    )
    raw = client_of(start(make_server, tmp_path, runner))
    fill(raw, "/s3", "/api/s3")
    for path in ("/s3/bkt/key", "/%733/bkt/key"):
        assert send(raw, "GET", path, "/api/s3/bkt/key").body == b"bkt"
    for path in ("/s3%2fbkt/key", "/s3//bkt/key", "/s3%2Fbkt%2Fkey"):
        assert send(raw, "GET", path, "/api/s3/bkt/key").status >= 400
