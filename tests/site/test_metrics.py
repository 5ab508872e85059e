"""`/_/metrics` over HTTP: the counts of all processes, also after clients have disconnected or processes have ended."""

import os
import signal
import socket
import tempfile
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.test import RequestFactory, override_settings

from post3.api import dispatch  # noqa: F401  (declares the counters)
from post3.telemetry.metrics import metrics

from ..helpers import query, refusal_of
from ..raw import RawClient
from ..servers import RUNNERS, Server
from .scraping import get, grown, scrape, wait_for
from .test_servers import workers_of

MIB = 1 << 20
LARGE = 24 * MIB


def raw_of(server: Server) -> RawClient:
    return RawClient(server.host, server.port, server.access_key, server.secret_key)


def leave_a_download(raw: RawClient, path: str) -> None:
    """Request an object, read the start of the response, and disconnect."""
    with socket.create_connection((raw.host, raw.port), timeout=60) as connection:
        connection.sendall(raw.sign("GET", path).head())
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")


def begin_an_upload(raw: RawClient, path: str) -> socket.socket:
    """Send a head and a third of the body. The connection stays open."""
    request = raw.sign("PUT", path, payload_hash="UNSIGNED-PAYLOAD", unsigned_headers=[("Content-Length", str(3 * MIB))])
    connection = socket.create_connection((raw.host, raw.port), timeout=60)
    connection.sendall(request.head() + bytes(MIB))
    return connection


def test_metrics_count_requests_bytes_and_seconds_by_operation(server: Server, s3: Any, raw: RawClient, bucket: str) -> None:
    before = scrape(server)
    s3.put_object(Bucket=bucket, Key="a", Body=b"12345")
    for _ in range(3):
        assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"12345"
    missing = raw.send("GET", f"/{bucket}/b")
    assert missing is not None
    assert refusal_of(missing).code == "NoSuchKey"
    assert refusal_of(raw.send("GET", f"/{bucket}/a", signed=False)).status == 403
    assert refusal_of(raw.send("PATCH", f"/{bucket}/a")).code == "MethodNotAllowed"
    seen = wait_for(lambda: grown(before, scrape(server)), lambda seen: ("post3_requests_total", "Unknown", "405") in seen)
    requests = {place[1:]: value for place, value in seen.items() if place[0] == "post3_requests_total"}
    assert requests == {
        ("PutObject", "200"): 1,
        ("GetObject", "200"): 3,
        ("GetObject", "404"): 1,
        ("GetObject", "403"): 1,
        ("Unknown", "405"): 1,
    }
    assert seen["post3_request_seconds_count", "GetObject"] == seen["post3_request_seconds_bucket", "+Inf", "GetObject"] == 5
    assert 0 < seen["post3_request_seconds_sum", "GetObject"] < 60
    assert seen["post3_received_bytes_total", "PutObject"] >= 5  # with or without framing
    assert seen["post3_sent_bytes_total", "GetObject"] > 15 + len(missing.body)
    assert not [place for place in seen if place[0] == "post3_answers_broken_off_total"]


def test_metrics_name_no_bucket_and_no_key(server: Server, s3: Any, bucket: str) -> None:
    key = f"key-{uuid.uuid4().hex}"
    s3.put_object(Bucket=bucket, Key=key, Body=b"")
    text = get(server)[2]
    assert key not in text and bucket not in text and server.access_key not in text
    status, headers, text = get(server, {"Accept": "application/openmetrics-text; version=1.0.0", "Host": "10.11.12.13"})
    assert status == 200, "a request to another host name was refused"
    assert headers["content-type"].startswith("application/openmetrics-text") and text.endswith("# EOF\n")


def test_metrics_count_a_download_that_its_client_left(server: Server, s3: Any, raw: RawClient, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="large", Body=bytes(LARGE))
    before = scrape(server)
    leave_a_download(raw, f"/{bucket}/large")
    broken = ("post3_answers_broken_off_total", "GetObject")
    seen = wait_for(lambda: grown(before, scrape(server)), lambda seen: broken in seen)
    assert seen[broken] == 1
    assert seen.get(("post3_sent_bytes_total", "GetObject"), 0) < LARGE
    wait_for(lambda: scrape(server), lambda seen: seen["post3_requests_in_flight",] == 0)
    body = s3.get_object(Bucket=bucket, Key="large")["Body"].read()
    whole = wait_for(lambda: grown(before, scrape(server)), lambda seen: seen["post3_requests_total", "GetObject", "200"] == 2)
    assert len(body) == LARGE <= whole["post3_sent_bytes_total", "GetObject"] < 2 * LARGE
    assert whole[broken] == 1


def test_metrics_tell_what_runs_now(server: Server, raw: RawClient, bucket: str) -> None:
    with begin_an_upload(raw, f"/{bucket}/slow"):
        seen = wait_for(
            lambda: scrape(server),
            lambda seen: seen["post3_requests_in_flight",] == 1 and seen["post3_threads", "uploads", "parked"] == 1,
        )
        assert seen["post3_server_processes",] == 1
        # The thread that waits for the upload is parked, and metrics use other threads.
        assert seen["post3_threads", "requests", "running"] == 0
        assert seen["post3_database_connections",] >= 1
    wait_for(
        lambda: scrape(server),
        lambda seen: seen["post3_requests_in_flight",] == 0 and seen["post3_threads", "uploads", "parked"] == 0,
    )


def test_metrics_show_that_threads_without_a_connection_read_what_is_outside_the_database(
    server: Server, s3: Any, bucket: str
) -> None:
    s3.put_object(Bucket=bucket, Key="large", Body=bytes(LARGE))
    assert len(s3.get_object(Bucket=bucket, Key="large")["Body"].read()) == LARGE
    seen = wait_for(lambda: scrape(server), lambda seen: seen["post3_threads", "requests", "running"] == 0)
    threads = seen["post3_threads", "reads", "idle"] + seen["post3_threads", "reads", "running"]
    in_database = "DATABASE_URL" in server.environment
    assert threads == 0 if in_database else 1 <= threads <= 16


def test_metrics_tell_what_is_stored_and_what_waits(server: Server, s3: Any, bucket: str) -> None:
    for number in range(3):
        s3.put_object(Bucket=bucket, Key=f"{number}", Body=bytes(1000))
    s3.delete_object(Bucket=bucket, Key="0")
    s3.create_multipart_upload(Bucket=bucket, Key="parts")
    server.manage("run_worker", "--once")
    sums = query(server, "SELECT count(*), sum(size) FROM post3_object")[0]
    waiting = query(server, "SELECT count(*), sum(size) FROM post3_blob WHERE released_at IS NOT NULL")[0]
    uploads = query(server, "SELECT count(*) FROM post3_multipartupload")[0][0]
    assert sums[0] >= 2 and waiting[0] >= 1 and uploads >= 1
    seen = wait_for(lambda: scrape(server), lambda seen: seen["post3_garbage_blobs",] == waiting[0])
    stored = (seen["post3_stored_objects", "STANDARD"], seen["post3_stored_objects_bytes", "STANDARD"])
    assert stored == tuple(map(int, sums))
    assert seen["post3_garbage_bytes",] == int(waiting[1])
    assert seen["post3_garbage_oldest_seconds",] > 0
    assert seen["post3_multipart_uploads",] == uploads
    # Other tests may have damaged objects of this server.
    assert seen["post3_stored_damaged", "STANDARD"] == query(server, "SELECT count(*) FROM post3_blob WHERE state = 3")[0][0]
    assert seen["post3_catalogue_up",] == 1
    assert [place for place in seen if place[0] == "post3_build_info"]


@pytest.mark.parametrize("runner", ["gunicorn-asgi", "gunicorn-wsgi"])
def test_any_process_tells_the_sum_of_all(make_server: Callable[..., Server], runner: str) -> None:
    server = make_server("sqlite-files", runner=runner)
    raw = raw_of(server)
    assert raw.send("PUT", "/bucket").status == 200
    assert raw.send("PUT", "/bucket/large", body=bytes(LARGE)).status == 200
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: raw.send("HEAD", "/bucket/large").status, range(96)))
    assert answers == [200] * 96
    heads = ("post3_requests_total", "HeadObject", "200")
    wait_for(lambda: scrape(server), lambda seen: seen.get(heads) == 96)
    assert {scrape(server)[heads] for _ in range(12)} == {96}

    leave_a_download(raw, "/bucket/large")
    broken = wait_for(lambda: scrape(server), lambda seen: seen.get(("post3_answers_broken_off_total", "GetObject"), 0) == 1)
    assert broken["post3_sent_bytes_total", "GetObject"] < LARGE

    # A killed process loses its requests in flight, but none of its counts.
    with begin_an_upload(raw, "/bucket/slow"):
        wait_for(lambda: scrape(server), lambda seen: seen["post3_requests_in_flight",] == 1)
        killed = workers_of(server)
        assert len(killed) >= 2 or os.cpu_count() == 1
        for worker in killed:
            os.kill(int(worker), signal.SIGKILL)
        seen = wait_for(lambda: _scrape_of_the_living(server, killed), lambda seen: seen.get(heads) == 96)
        assert seen["post3_requests_in_flight",] == 0
    assert raw.send("HEAD", "/bucket/large").status == 200
    wait_for(lambda: scrape(server), lambda seen: seen[heads] == 97 and seen["post3_server_processes",] == len(killed))
    directory = Path(tempfile.gettempdir(), f"post3-metrics-{os.geteuid()}-{server.host}-{server.port}")
    assert 1 <= len(list(directory.iterdir())) <= 2 * len(killed), "files of dead processes pile up"
    server.stop()
    assert not directory.exists()


def _scrape_of_the_living(server: Server, killed: list[str]) -> Any:
    """Scrape if the killed processes are gone and the server is ready; otherwise return nothing."""
    if set(workers_of(server)) & set(killed) or not server.is_ready():
        return {}
    return scrape(server)


def test_metrics_want_their_token(make_server: Callable[..., Server]) -> None:
    server = make_server("sqlite-files", environment={"POST3_METRICS_TOKEN": "let-me-in"})
    for headers in (
        {},
        {"Authorization": "Bearer let-me"},
        {"Authorization": "Bearer let-me-in\xe9"},
        {"Authorization": "let-me-in"},
    ):
        status, answered, text = get(server, headers)
        assert (status, answered["www-authenticate"]) == (401, "Bearer")
        assert "post3_" not in text
    assert scrape(server, {"Authorization": "Bearer let-me-in"})["post3_server_processes",] == 1


@pytest.fixture(scope="module", params=[*RUNNERS])
def without_token(request: pytest.FixtureRequest, make_server: Callable[..., Server]) -> Server:
    """A server that trusts proxies on this machine. Requests from them are not local, whatever address they forward."""
    return make_server("sqlite-files", runner=request.param, environment={"POST3_TRUSTED_PROXIES": "127.0.0.0/8,::1"})


@pytest.mark.parametrize(
    "header",
    [
        *(
            "X-Forwarded-For: 203.0.113.9",
            "X-Forwarded-For: 127.0.0.1",
            "X-Forwarded-Proto: https",
            "X-Forwarded-Host: localhost",
        ),
        *("X-Forwarded-Server: proxy", "Forwarded: for=127.0.0.1", "X-Real-IP: 127.0.0.1", "Via: 1.1 proxy", "X-Client-IP: ::1"),
    ],
)
def test_metrics_without_a_token_are_not_told_through_a_proxy(without_token: Server, header: str) -> None:
    name, _, value = header.partition(": ")
    status, headers, text = get(without_token, {name: value})
    assert status == 403 and "POST3_METRICS_TOKEN" in text and "post3_requests_total" not in text
    assert headers["content-type"] == "text/plain"
    assert get(without_token)[0] == 200, "a request from this machine, not through a proxy"


@pytest.mark.parametrize(
    ("address", "status"),
    [
        *(("127.0.0.1", 200), ("127.9.9.9", 200), ("::1", 200), ("::ffff:127.0.0.1", 200)),
        *(
            ("10.0.0.5", 403),
            ("172.18.0.1", 403),
            ("203.0.113.9", 403),
            ("fe80::1", 403),
            ("::", 403),
            ("", 403),
            ("localhost", 403),
        ),
    ],
)
def test_metrics_without_a_token_are_told_on_the_loopback(catalogue: Any, address: str, status: int) -> None:
    assert metrics(RequestFactory().get("/_/metrics", REMOTE_ADDR=address)).status_code == status


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.5"])
def test_metrics_with_a_token_want_it_from_everybody(catalogue: Any, address: str) -> None:
    for token, status in (("", 401), ("Bearer let-me-i", 401), ("Bearer let-me-in", 200)):
        with override_settings(POST3_METRICS_TOKEN="let-me-in"):
            headers = {"authorization": token, "x-forwarded-for": "203.0.113.9"}
            request = RequestFactory().get("/_/metrics", REMOTE_ADDR=address, headers=headers)
            assert metrics(request).status_code == status
