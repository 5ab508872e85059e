"""Each S3 request produces exactly one record, however it is served and however it ends."""

import json
import socket
import struct
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ..helpers import refusal_of
from ..raw import RawClient, RawResponse
from ..servers import ROOT, Server
from .scraping import scrape, wait_for
from .test_metrics import MIB, begin_an_upload, leave_a_download, raw_of
from .test_mounts import DJANGO_ASGI, DJANGO_WSGI

LARGE = 24 * MIB
#: A GET of the key `slow` takes a second, and a GET of `broken` raises an unexpected error.
URLS = """
import time
from django.urls import include, path, re_path
from post3.services import objects
from post3.telemetry import health, metrics

S3 = include("post3.urls")
urlpatterns = [
    path("_/health/ready", health.ready),
    path("_/metrics", metrics.metrics),
    {mount},
]
open_object = objects.open_object

def open_some(bucket, key, *args, **kwargs):
    if key == "broken":
        raise RuntimeError("a fault of ours")
    if key.startswith("slow"):
        time.sleep(1)
    return open_object(bucket, key, *args, **kwargs)

objects.open_object = open_some
"""
WRAPPED = """
from post3_site.asgi import application as inner

async def application(scope, receive, send):
    await inner(scope, receive, send)
"""
PLAIN, FOUND_BY_RESOLVER = 'path("s3/", S3)', 're_path("^(?:s3)/", S3)'
#: Way of serving -> the runner, and the mount.
WAYS = {
    "fast path": ("uvicorn", PLAIN),
    "ASGI": ("uvicorn --host {host} --port {port} --no-access-log wrapped:application", PLAIN),
    "page": ("uvicorn", FOUND_BY_RESOLVER),
    "plain uvicorn": ("uvicorn-plain", PLAIN),
    "gunicorn's worker": ("gunicorn-asgi", PLAIN),
    "WSGI": ("gunicorn-wsgi", PLAIN),
    "Django's WSGI": ("gunicorn --bind {host}:{port} --threads 8 django_wsgi", PLAIN),
    "Django's ASGI": ("uvicorn --host {host} --port {port} --no-access-log django_asgi:application", PLAIN),
}


@pytest.fixture(scope="module", params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def served(way: str, make_server: Callable[..., Server], tmp_path_factory: pytest.TempPathFactory) -> Server:
    runner, mount = WAYS[way]
    project = tmp_path_factory.mktemp("project")
    settings = "from post3_site.settings import *\nROOT_URLCONF = 'mounted_urls'\n"
    files = {"mounted": settings, "mounted_urls": URLS.format(mount=mount), "wrapped": WRAPPED}
    for name, text in {**files, "django_asgi": DJANGO_ASGI, "django_wsgi": DJANGO_WSGI}.items():
        (project / f"{name}.py").write_text(text)
    environment = {"DJANGO_SETTINGS_MODULE": "mounted", "PYTHONPATH": f"{project}:{ROOT}", "POST3_REQUEST_LOG": "1"}
    server = make_server("sqlite-files", runner=runner, environment=environment)
    raw = raw_of(server)
    assert send(raw, "PUT", "/s3/bucket").status == 200
    for key, size in (("small", 5), ("large", LARGE), ("slow", 5)):
        body = bytes(size)
        assert send(raw, "PUT", f"/s3/bucket/{key}", body=body).status == 200
    return server


@pytest.fixture
def wire(served: Server) -> RawClient:
    return raw_of(served)


def send(raw: RawClient, method: str, path: str, **arguments: Any) -> RawResponse:
    answer = raw.send(method, path, **arguments)
    assert answer is not None
    return answer


def records(server: Server) -> list[dict[str, Any]]:
    return [json.loads(line) for line in server.log().splitlines() if line.startswith("{")]


class Watch:
    """The records that are written after its creation."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._settle()
        self._before = len(records(server))

    def only(self) -> dict[str, Any]:
        """Wait for a record, and until no request is in flight. Return the record, which must be the only one."""
        deadline = time.monotonic() + 20
        while len(records(self._server)) == self._before:
            assert time.monotonic() < deadline, "no request was recorded"
            time.sleep(0.05)
        self._settle()
        (record,) = records(self._server)[self._before :]
        return record

    def nothing(self) -> None:
        self._settle()
        assert records(self._server)[self._before :] == []

    def _settle(self) -> None:
        """Wait until no request is in flight, and every counted request is in the log."""

        def counted(seen: Any) -> int:
            return int(sum(value for place, value in seen.items() if place[0] == "post3_requests_total"))

        wait_for(
            lambda: scrape(self._server),
            lambda seen: seen["post3_requests_in_flight",] == 0 and counted(seen) == len(records(self._server)),
        )


@pytest.fixture
def watch(served: Server) -> Watch:
    return Watch(served)


@pytest.mark.parametrize(
    ("method", "key", "body", "status", "error"),
    [
        ("PUT", "new", b"12345", 200, ""),
        ("PUT", "new-large", bytes(3 * MIB), 200, ""),
        ("GET", "small", b"", 200, ""),
        ("GET", "large", b"", 200, ""),
        ("HEAD", "small", b"", 200, ""),
        ("GET", "none", b"", 404, "NoSuchKey"),
        ("GET", "broken", b"", 500, "InternalError"),
        ("DELETE", "none", b"", 204, ""),
    ],
)
def test_each_request_is_one_record(
    wire: RawClient, watch: Watch, method: str, key: str, body: bytes, status: int, error: str
) -> None:
    answer = send(wire, method, f"/s3/bucket/{key}", body=body)
    record = watch.only()
    assert (answer.status, record["status"], record["error"], record["key"]) == (status, status, error, key)
    assert record["request_id"] == answer.headers["x-amz-request-id"]
    assert (record["bytes_in"], record["bytes_out"], record["whole"]) == (len(body), len(answer.body), True)


@pytest.mark.parametrize("expects", [False, True], ids=["body sent", "body awaits 100"])
def test_request_refused_by_its_head_is_one_record(way: str, served: Server, watch: Watch, expects: bool) -> None:
    forger = RawClient(served.host, served.port, served.access_key, "wrong")
    headers = [("Content-Length", "5")] + ([("Expect", "100-continue")] if expects else [])
    # A server that reads the body before it calls Django sends 100 Continue.
    with_body = not expects or way == "Django's ASGI"
    put = forger.sign("PUT", "/s3/bucket/refused", body=b"12345", unsigned_headers=headers)
    answer = forger.send_bytes(put.head() + (b"12345" if with_body else b""), "PUT")
    assert answer is not None and refusal_of(answer).code == "SignatureDoesNotMatch"
    record = watch.only()
    assert (record["operation"], record["status"], record["error"]) == ("PutObject", 403, "SignatureDoesNotMatch")
    assert (record["bytes_out"], record["whole"]) == (len(answer.body), True)
    assert record["bytes_in"] in ((0, 5) if with_body else (0,))


def test_head_that_the_server_itself_refuses_is_no_request(wire: RawClient, watch: Watch) -> None:
    answer = wire.send_bytes(b"GET /s3/bucket/small HTTP/1.1\r\nno header\r\n\r\n")
    assert answer is not None and answer.status == 400
    watch.nothing()


def test_upload_that_its_client_cuts_off_is_one_record(way: str, wire: RawClient, watch: Watch) -> None:
    begin_an_upload(wire, "/s3/bucket/cut").close()
    if way == "Django's ASGI":
        watch.nothing()  # it calls a view only after it has the whole body
        return
    record = watch.only()
    assert (record["operation"], record["status"], record["error"]) == ("PutObject", 400, "IncompleteBody")
    assert 0 < record["bytes_in"] <= MIB


def test_download_that_its_client_leaves_is_one_record(way: str, wire: RawClient, watch: Watch) -> None:
    leave_a_download(wire, "/s3/bucket/large")
    record = watch.only()
    assert (record["operation"], record["status"], record["error"]) == ("GetObject", 200, "")
    if way != "Django's ASGI":  # it reads the whole response before it sends any of it
        assert record["bytes_out"] < LARGE and not record["whole"]


@pytest.mark.parametrize("abruptly", [False, True], ids=["closes", "resets"])
def test_client_that_leaves_before_its_answer_is_one_record(way: str, wire: RawClient, watch: Watch, abruptly: bool) -> None:
    with socket.create_connection((wire.host, wire.port), timeout=20) as connection:
        connection.sendall(wire.sign("GET", "/s3/bucket/slow").head())
        time.sleep(0.3)
        if abruptly:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    record = watch.only()
    assert (record["operation"], record["key"], record["status"], record["error"]) == ("GetObject", "slow", 200, "")
    if "WSGI" in way:  # the system may accept the bytes before or after it reports the disconnection
        assert record["whole"] == (record["bytes_out"] == 5)
    else:  # a client that closes may have closed only its sending direction (D61)
        assert (record["bytes_out"], record["whole"]) == ((0, False) if abruptly or way == "Django's ASGI" else (5, True))


def test_object_damaged_within_its_answer_is_one_record(served: Server, wire: RawClient, watch: Watch) -> None:
    files = Path(served.data_dir, "var", "objects", "bucket").rglob("large.*")
    (path,) = [path for path in files if path.stat().st_size == LARGE]
    kept = path.read_bytes()
    try:
        path.write_bytes(kept[:-1] + b"\x01")
        with pytest.raises(ConnectionError, match="broke off"):
            send(wire, "GET", "/s3/bucket/large")
        record = watch.only()
    finally:
        path.write_bytes(kept)
    assert (record["operation"], record["status"], record["whole"]) == ("GetObject", 200, False)
    assert 0 < record["bytes_out"] < LARGE
    assert f"Answer {record['request_id']} broke off after {record['bytes_out']} bytes: BlobDamaged" in served.log()
