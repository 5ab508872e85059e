"""`/_/health/live` and `/_/health/ready`, as requested by a load balancer."""

import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..servers import Server


def ask(server: Server, path: str, method: str = "GET") -> tuple[int, Any, Any]:
    """Return the status, headers and JSON of a response."""
    request = urllib.request.Request(server.url + path, method=method)
    try:
        answer = urllib.request.urlopen(request, timeout=10)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        body = answer.read()
        is_json = body and answer.headers["Content-Type"] == "application/json"
        return answer.status, answer.headers, json.loads(body) if is_json else None


def test_live_responds_without_authentication(server: Server) -> None:
    status, headers, answer = ask(server, "/_/health/live")
    assert (status, answer) == (200, {"status": "ok"})
    assert "no-store" in headers["Cache-Control"]


def test_ready_names_database_and_storages(server: Server) -> None:
    status, _, answer = ask(server, "/_/health/ready")
    assert (status, answer["status"], answer["failed"]) == (200, "ok", [])
    assert answer["checks"] == {"database": "ok", "storage STANDARD": "ok"}


def test_health_supports_head_and_refuses_writes(server: Server) -> None:
    assert ask(server, "/_/health/ready", "HEAD")[0] == 200
    assert ask(server, "/_/health/ready", "POST")[0] == 405


def test_ready_names_the_storage_that_fails(make_server: Callable[..., Server], tmp_path: Path) -> None:
    server = make_server("sqlite-files")
    objects = server.data_dir / "var" / "objects"
    shutil.rmtree(objects, ignore_errors=True)
    objects.write_text("a file where the storage's directory was")
    status, _, answer = ask(server, "/_/health/ready")
    assert (status, answer["status"], answer["failed"]) == (503, "unavailable", ["storage STANDARD"])
    assert answer["checks"]["database"] == "ok"
    assert str(server.data_dir) not in json.dumps(answer), "the public response contains a path"
    assert ask(server, "/_/health/live")[0] == 200


def test_probes_may_use_an_address_that_is_not_a_console_host(server: Server) -> None:
    for path in ("/_/health/live", "/_/health/ready"):
        request = urllib.request.Request(server.url + path, headers={"Host": "10.11.12.13:9000"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 200
