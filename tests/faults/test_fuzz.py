"""A few thousand nearly valid inputs. `python -m tests.faults fuzz` runs a million."""

import socket
import threading
from typing import Any

import pytest

from tests.raw import RawClient
from tests.servers import Server

from .fuzz import run_http
from .fuzz_console import ConsoleFuzzer
from .fuzz_http import FAILURES, Fuzzer, Wire, exchange
from .fuzz_parsers import PARSERS, Outcome, fuzz_parsers
from .mutations import Mutator
from .samples import SEEDS, make
from .structures import bend_structure

SEED = "1"
PARSED, SENT, SENT_TO_CONSOLE = 2500, 900, 600


def test_parsers_raise_only_s3_errors() -> None:
    outcome = Outcome()
    fuzz_parsers(SEED, 0, PARSED, outcome)
    assert not outcome.findings, "\n".join(outcome.findings[:10])
    # The parsers get both valid inputs and inputs that are invalid in many ways.
    assert outcome.answers["parsed"] > PARSED * len(PARSERS) / 4 and outcome.answers["chunks read"] > PARSED / 50
    assert len(outcome.answers) > 12, outcome.answers


def test_parsers_that_raise_other_errors_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def parse(request: Any) -> None:
        if request.header("range"):
            raise KeyError(request.header("range"))

    monkeypatch.setattr("tests.faults.fuzz_parsers.PARSERS", (parse,))
    outcome = Outcome()
    fuzz_parsers(SEED, 0, 300, outcome)
    assert outcome.findings and all("KeyError" in finding for finding in outcome.findings)


def test_a_server_answers_all_requests(server: Server, raw: RawClient) -> None:
    fuzzer = Fuzzer(raw, SEED)
    findings = run_http(server, fuzzer, 0, SENT, lambda line: None)
    assert not findings, "\n".join(findings[:5])
    statuses = fuzzer.outcome.statuses
    assert statuses[200] > SENT / 10 and statuses[400] > SENT / 10 and statuses[403] and statuses[404], statuses


def test_the_console_answers_all_requests(server: Server) -> None:
    fuzzer = ConsoleFuzzer(server, SEED)
    findings = run_http(server, fuzzer, 0, SENT_TO_CONSOLE, lambda line: None)
    assert not findings, "\n".join(findings[:5])
    statuses = fuzzer.outcome.statuses
    assert statuses[200] > SENT_TO_CONSOLE / 10 and statuses[302] and statuses[403], statuses


def test_servers_that_close_or_fail_are_reported() -> None:
    """Test against a listener that closes, one that answers 500, and one that does neither."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = RawClient("127.0.0.1", listener.getsockname()[1], "key", "secret")

        def answer(data: bytes) -> None:
            with listener.accept()[0] as connection:
                connection.recv(65536)
                connection.sendall(data)

        failed = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
        for data, whole, expected in ((b"", True, (0, True)), (b"", False, (0, False)), (failed, True, (500, False))):
            thread = threading.Thread(target=answer, args=(data,))
            thread.start()
            status, problem = exchange(client, Wire(b"GET / HTTP/1.1\r\n\r\n", "GET", whole))
            thread.join()
            assert (status, bool(problem)) == expected
    assert 500 in FAILURES and 501 not in FAILURES


def test_an_input_can_be_reproduced() -> None:
    assert [make(Mutator(f"{SEED}/{number}")) for number in range(50)] == [
        make(Mutator(f"{SEED}/{number}")) for number in range(50)
    ]
    assert len({repr(make(Mutator(f"{SEED}/{number}"))) for number in range(200)}) > 2 * len(SEEDS)


def test_a_split_head_is_found() -> None:
    """Test against a server that writes a stored name without escaping."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = RawClient("127.0.0.1", listener.getsockname()[1], "key", "secret")

        def answer() -> None:
            with listener.accept()[0] as connection:
                connection.recv(65536)
                connection.sendall(
                    b"HTTP/1.1 200 OK\r\nx-amz-meta-a\r\nSet-Cookie: a=b: c\r\nSet-Cookie: a=b\r\nContent-Length: 0\r\n\r\n"
                )

        thread = threading.Thread(target=answer)
        thread.start()
        status, problem = exchange(client, Wire(b"GET / HTTP/1.1\r\n\r\n", "GET", True))
        thread.join()
    assert status == 200 and "split" in problem


def test_documents_with_all_kinds_of_structures_are_generated() -> None:
    document = next(seed.body for seed in SEEDS if seed.body.startswith(b"<?xml"))
    made = [bend_structure(document, Mutator(str(number))) for number in range(2000)]
    assert len(set(made)) > 300 and max(map(len, made)) > 100_000
    for part in (b"<!DOCTYPE", b"<![CDATA[", b'encoding="rot13"', b"xmlns:n1", b"<!--"):
        assert any(part in one for one in made), part
