"""The whole server: health, the console's files, and each way of running it."""

import contextlib
import os
import socket
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.servers import RUNNERS, Server


def get(url: str) -> tuple[int, str]:
    with urllib.request.urlopen(url, timeout=10) as response:
        return response.status, response.headers["content-type"]


def test_console_has_its_files_without_collectstatic(server: Server) -> None:
    status, content_type = get(f"{server.console_url}/_/static/admin/css/base.css")
    assert (status, content_type.split(";")[0]) == (200, "text/css")
    assert get(f"{server.console_url}/_/admin/login/")[0] == 200


@pytest.mark.parametrize("kind", ["sqlite-files", "postgresql-blocks"])
@pytest.mark.parametrize("runner", RUNNERS)
def test_every_way_of_serving_puts_lists_and_gets(make_server: Callable[..., Server], runner: str, kind: str) -> None:
    server = make_server(kind, runner=runner)
    s3 = server.client()
    s3.create_bucket(Bucket="runner")
    for size in (0, 10, 300_000, 9_000_000):
        body = bytes([size % 251]) * size
        s3.put_object(Bucket="runner", Key=f"a+b/{size} ü", Body=body, Metadata={"my_key": "1", "my-other": "2"})
        answer = s3.get_object(Bucket="runner", Key=f"a+b/{size} ü")
        assert answer["Body"].read() == body
        assert answer["Metadata"] == {"my_key": "1", "my-other": "2"}
    assert [entry["Size"] for entry in s3.list_objects_v2(Bucket="runner")["Contents"]] == [0, 10, 300_000, 9_000_000]
    server.stop()


def test_gunicorns_processes_share_connections_evenly(make_server: Callable[..., Server]) -> None:
    server = make_server("sqlite-files", runner="gunicorn-asgi")
    wait_for(lambda: server.log().count("Application startup complete") == len(workers_of(server)))
    gaps: list[int] = []
    for _ in range(5):
        connections = [socket.create_connection((server.host, server.port)) for _ in range(16)]
        try:
            for connection in connections:
                connection.sendall(b"GET /_/health/live HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert all(connection.recv(12) == b"HTTP/1.1 200" for connection in connections)
            counts = established(server)
        finally:
            for connection in connections:
                connection.close()
        assert sum(counts) >= 16
        gaps.append(max(counts) - min(counts))
        wait_for(lambda: sum(established(server)) == 0)
    # On a busy machine, a process that gets no CPU for two milliseconds misses its turns.
    assert sorted(gaps)[1] <= 4, gaps
    server.stop()


def established(server: Server) -> list[int]:
    """Return the number of connections to the server's port of each gunicorn worker."""
    table = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    inodes = {row[9] for row in table if row[1].endswith(f":{server.port:04X}") and row[3] == "01"}
    return [sum(link[8:-1] in inodes for link in links_of(worker)) for worker in workers_of(server)]


def workers_of(server: Server) -> list[str]:
    return Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()


def links_of(pid: str) -> list[str]:
    found = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed in the meantime
            found.append(os.readlink(f"/proc/{pid}/fd/{name}"))
    return found


def wait_for(condition: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not become true"
        time.sleep(0.05)
