"""The request log: a line of JSON for each S3 request, written when its response ends."""

import json
import os
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from ..raw import RawClient
from ..servers import Server
from .test_metrics import LARGE, leave_a_download, raw_of

AGENT = [("User-Agent", 'a "quoted"; agent')]


def lines_of(server: Server, count: int) -> list[dict[str, Any]]:
    """Wait for at least `count` lines, and return all lines."""
    deadline = time.monotonic() + 20
    while True:
        lines = [json.loads(line) for line in server.log().splitlines() if line.startswith("{")]
        if len(lines) >= count:
            return lines
        assert time.monotonic() < deadline, f"{len(lines)} lines instead of {count}: {lines}"
        time.sleep(0.05)


def damage(server: Server, key: str) -> None:
    """Change the last byte of an object's file."""
    (path,) = [
        path for path in (server.data_dir / "var" / "objects" / "bucket").rglob(f"{key}.*") if path.stat().st_size == LARGE
    ]
    with open(path, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x01")


@pytest.mark.parametrize("runner", ["uvicorn", "gunicorn-wsgi"])
def test_each_request_is_one_line(make_server: Callable[..., Server], runner: str) -> None:
    server = make_server("sqlite-files", runner=runner, environment={"POST3_REQUEST_LOG": "1"})
    raw: RawClient = raw_of(server)
    create = raw.send("PUT", "/bucket")
    put = raw.send("PUT", "/bucket/a%0Ab%C3%BC", body=b"12345", unsigned_headers=[*AGENT, ("Content-Length", "5")])
    got = raw.send("GET", "/bucket/a%0Ab%C3%BC")
    missing = raw.send("GET", "/bucket/none")
    unknown = raw.send("PATCH", "/bucket")
    large = raw.send("PUT", "/bucket/large", body=bytes(LARGE))
    answers = [create, put, got, missing, unknown, large]
    assert None not in answers
    leave_a_download(raw, "/bucket/large")
    lines_of(server, len(answers) + 1)
    damage(server, "large")
    with pytest.raises(ConnectionError, match="broke off"):
        raw.send("GET", "/bucket/large")
    server.is_ready()  # not an S3 request

    lines = lines_of(server, len(answers) + 2)
    assert len(lines) == len(answers) + 2
    by_id = {line["request_id"]: line for line in lines}
    *told, left, damaged = [by_id.pop(answer.headers["x-amz-request-id"]) for answer in answers] + list(by_id.values())
    assert [(line["operation"], line["status"], line["error"]) for line in told] == [
        ("CreateBucket", 200, ""),
        ("PutObject", 200, ""),
        ("GetObject", 200, ""),
        ("GetObject", 404, "NoSuchKey"),
        ("", 405, "MethodNotAllowed"),
        ("PutObject", 200, ""),
    ]
    assert [line["bytes_in"] for line in told] == [0, 5, 0, 0, 0, LARGE]
    assert [line["bytes_out"] for line in told] == [len(answer.body) for answer in answers]
    assert all(line["whole"] for line in told)
    line = told[1]
    assert (line["bucket"], line["key"], line["access_key"]) == ("bucket", "a\nbü", server.access_key)
    assert (line["remote"], line["user_agent"]) == ("127.0.0.1", AGENT[0][1])
    assert 0 < line["seconds"] < 60
    assert abs(datetime.fromisoformat(line["time"]).timestamp() - time.time()) < 300
    assert (left["operation"], left["status"], left["key"], left["whole"]) == ("GetObject", 200, "large", False)
    assert left["bytes_out"] < LARGE
    assert (damaged["operation"], damaged["status"], damaged["whole"]) == ("GetObject", 200, False)
    assert 0 < damaged["bytes_out"] < LARGE
    assert f"Answer {damaged['request_id']} broke off after {damaged['bytes_out']} bytes: BlobDamaged" in server.log()
    server.stop()


def test_there_is_no_log_by_default(server: Server, raw: RawClient, bucket: str) -> None:
    assert raw.send("GET", f"/{bucket}").status == 200
    assert '"request_id"' not in server.log()
