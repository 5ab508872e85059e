"""`manage.py run_worker`: it pauses, continues, and survives failures."""

import threading
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError

from post3.maintenance import garbage, scrubbing
from post3.management.commands import run_worker
from post3.services import buckets
from post3.telemetry import catalogue_figures


class Stopper(threading.Event):
    """An event that records the requested waits, never waits, and is set after some of them."""

    def __init__(self, waits: int) -> None:
        super().__init__()
        self.left, self.pauses = waits, []

    def wait(self, timeout: float | None = None) -> bool:
        self.pauses.append(timeout)
        self.left -= 1
        if self.left <= 0:
            self.set()
        return self.is_set()


@pytest.fixture(autouse=True)
def _nothing_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the counting of the catalogue, which tests/telemetry/test_figures.py covers."""
    monkeypatch.setattr(buckets, "describe_buckets", lambda: 0)
    monkeypatch.setattr(catalogue_figures, "measure_storage", lambda: None)
    monkeypatch.setattr(catalogue_figures, "measure_storage_if_due", lambda: False)
    monkeypatch.setattr(scrubbing, "scrub", lambda: 0)


def passes(monkeypatch: pytest.MonkeyPatch, outcomes: list[Any]) -> None:
    remaining = iter(outcomes)

    def collect(rest: Any = None) -> int:
        outcome = next(remaining)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(garbage, "collect_garbage", collect)


def test_run_worker_pauses_only_when_there_was_nothing_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    passes(monkeypatch, [5, 3, 0, 2, 0])
    stopped = Stopper(2)
    run_worker.work(stopped, 7.0)
    assert stopped.pauses == [7.0, 7.0]


def test_run_worker_survives_database_errors_and_backs_off(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    passes(monkeypatch, [OperationalError("gone"), OperationalError("gone"), 0, OperationalError("gone")])
    stopped = Stopper(4)
    run_worker.work(stopped, 10.0)
    assert stopped.pauses == [1.0, 2.0, 10.0, 1.0]
    assert caplog.text.count("Garbage collection failed") == 3


def test_run_worker_lets_other_errors_through(monkeypatch: pytest.MonkeyPatch) -> None:
    passes(monkeypatch, [KeyError("a fault of ours")])
    with pytest.raises(KeyError):
        run_worker.work(Stopper(1), 10.0)


def test_run_worker_once_does_one_pass(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    passes(monkeypatch, [4])
    call_command("run_worker", "--once")
    assert capsys.readouterr().out == "Pass finished: 4 items removed.\n"


def test_run_worker_logs_its_start_and_its_work(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    passes(monkeypatch, [5, 3, 0])
    monkeypatch.setattr(run_worker.signal, "signal", lambda *_: None)
    monkeypatch.setattr(run_worker.threading, "Event", lambda: Stopper(1))
    call_command("run_worker", "--interval", "7")
    begin, end = capsys.readouterr().out.splitlines()
    assert begin.startswith("The worker is running, with a pass every 7 s")
    assert end == "The worker has stopped: 8 items removed."


def test_run_worker_refuses_an_interval_of_zero() -> None:
    with pytest.raises(CommandError, match="--interval"):
        call_command("run_worker", "--interval", "0")


def test_collect_garbage_prints_the_count(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    passes(monkeypatch, [4])
    call_command("collect_garbage")
    assert capsys.readouterr().out == "4\n"
