"""The benchmark runs, and its load generator detects wrong responses. Nothing here is timed."""

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.benchmarks.load import Request, Signer, run
from tests.benchmarks.plot import draw
from tests.benchmarks.targets import TARGETS, Verdict
from tests.benchmarks.workloads import WORKLOADS
from tests.servers import ROOT, STOP_TIMEOUT

Answering = Callable[..., int]


def test_quick_benchmark_writes_its_results(tmp_path: Path) -> None:
    arguments = ["--quick", "--seconds", "0.3", "--configurations", "sqlite-files", "--only", "put4k/8,get4k/8,list-page/8"]
    command = [sys.executable, "-m", "tests.benchmarks", *arguments, "--output", str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        try:
            printed, _ = process.communicate()
        finally:
            # Terminate it so that it stops its server, even if this test is interrupted.
            process.terminate()
            process.wait(STOP_TIMEOUT)
    assert process.returncode == 0, printed

    results = json.loads((tmp_path / "results.json").read_text())
    figures = results["figures"]["sqlite-files"]
    assert set(figures) == {"put4k/8", "get4k/8", "list-page/8"}
    for work, figure in figures.items():
        assert (figure["errors"], figure["first_error"]) == (0, ""), work
        assert figure["rate"] > 0 and figure["operations"] > 0 and figure["server_cpu_ms"] >= 0, work
        assert work in printed
    assert results["limits"]["file-4k/8"]["value"] > 0
    assert [target["work"] for target in results["targets"]] == ["put4k/8"]
    assert results["machine"]["cpu_count"] > 0
    assert "| put4k/8, sqlite-files | file-4k/8: " in (tmp_path / "results.md").read_text()
    assert ElementTree.parse(tmp_path / "results.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"


def test_targets_name_known_workloads_and_can_be_drawn() -> None:
    assert {target.work for target in TARGETS} <= set(WORKLOADS)
    picture = draw([Verdict(target, 1000.0, 1000.0) for target in TARGETS])
    assert picture.count('class="limit"') == len(TARGETS)
    ElementTree.fromstring(picture)


def test_target_is_judged_by_ratio_or_by_figure() -> None:
    by_ratio, by_figure = (next(target for target in TARGETS if target.absolute is absolute) for absolute in (False, True))
    limit = 1000.0
    assert by_ratio.aim is not None
    assert [Verdict(by_ratio, part * limit, limit).met for part in (by_ratio.at_least - 0.01, by_ratio.at_least)] == ["no", "yes"]
    assert Verdict(by_ratio, by_ratio.aim * limit, limit).met == "aim"
    assert Verdict(by_ratio, limit, None).met == "?"
    assert Verdict(by_figure, by_figure.at_least, None).met == "yes"


@pytest.fixture
def answering() -> Iterator[Answering]:
    """Yield a function that starts a server which sends the same bytes to every request. It returns the port."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve(pieces: tuple[bytes, ...]) -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:  # the test is over
                    return
                threading.Thread(target=answer, args=(connection, pieces), daemon=True).start()

        def answer(connection: socket.socket, pieces: tuple[bytes, ...]) -> None:
            with connection, connection.makefile("rb") as file:
                while head := list(takewhile(lambda line: line.strip(), file)):  # the end of the file also ends the head
                    lengths = [int(line.split(b":")[1]) for line in head if line.startswith(b"content-length:")]
                    file.read(sum(lengths))
                    for piece in pieces:
                        if not piece:
                            return
                        connection.sendall(piece)

        def start(*pieces: bytes) -> int:
            """Respond with these pieces. An empty one closes the connection."""
            threading.Thread(target=serve, args=(pieces,), daemon=True).start()
            return listening.getsockname()[1]

        yield start
        listening.shutdown(socket.SHUT_RDWR)


HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"


def requests(port: int, method: str = "GET", body: bytes = b"", **answer: object) -> list[Request]:
    signer = Signer("127.0.0.1", port, "key", "secret")
    head = signer.head(method, "/bucket/a key", {"list-type": "2"}, length=len(body) if body else None)
    return [Request(head, body, **answer) for _ in range(3)]


@pytest.mark.parametrize("pieces", [(HEAD + b"right",), (HEAD[:20], HEAD[20:] + b"ri", b"ght")], ids=["whole", "in pieces"])
def test_load_counts_correct_responses(answering: Answering, pieces: tuple[bytes, ...]) -> None:
    port = answering(*pieces)
    outcome = run("127.0.0.1", port, requests(port, length=5, expected=b"right"), 2, count=40)
    assert (outcome.operations, outcome.errors, outcome.first_error, outcome.bytes) == (40, 0, "", 200)
    assert 0 < outcome.p50 <= outcome.p99 and outcome.rate > 0 and outcome.megabytes_per_second > 0


def test_load_ends_after_its_seconds(answering: Answering) -> None:
    port = answering(HEAD + b"right")
    outcome = run("127.0.0.1", port, requests(port), 2, seconds=0.05)
    assert outcome.operations > 3 and not outcome.errors


@pytest.mark.parametrize("size", [10, 3_000_000])
def test_load_sends_complete_bodies(answering: Answering, size: int) -> None:
    port = answering(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    outcome = run("127.0.0.1", port, requests(port, "PUT", bytes(size), length=0), 2)
    assert (outcome.operations, outcome.errors, outcome.bytes) == (3, 0, 3 * size)


def test_load_accepts_responses_without_a_body(answering: Answering) -> None:
    port = answering(HEAD)
    assert run("127.0.0.1", port, requests(port, "HEAD", length=5, no_body=True), 1).operations == 3
    assert run("127.0.0.1", port, requests(port, "HEAD", length=6, no_body=True), 1).errors == 3


WRONG = {
    "another status": ([b"HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\nright"], "status 404 instead of 200 right"),
    "another body": ([HEAD + b"wrong"], "unexpected body"),
    "another length": ([b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nrigh"], "a body of 4 bytes instead of 5"),
    "no length": ([b"HTTP/1.1 200 OK\r\n\r\nright"], "a response without Content-Length"),
    "more than announced": ([HEAD + b"right or wrong"], "unexpected body"),
    "an early end": ([HEAD + b"rig", b""], "the server closed the connection before the end of its response"),
    "no answer": ([b""], "the server closed the connection before the end of its response"),
}


@pytest.mark.parametrize(("pieces", "problem"), WRONG.values(), ids=WRONG)
def test_load_reports_wrong_responses(answering: Answering, pieces: list[bytes], problem: str) -> None:
    port = answering(*pieces)
    outcome = run("127.0.0.1", port, requests(port, length=5, expected=b"right"), 1)
    assert outcome.errors and outcome.operations + outcome.errors == 3
    assert outcome.first_error.startswith(f"GET /bucket/a%20key?list-type=2 HTTP/1.1: {problem}")
