"""`manage.py check_storage`: its output and exit status."""

import json
import re
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from post3.maintenance.checking import Check, Finding
from post3.management.commands import check_storage
from post3.storage import StorageError

REMAINS = Finding("damaged", "blob 1", "its CRC is another", False, [("bucket", "a\nkey")])
REPAIRED = Finding("orphan", "bucket/aa/x", "4 bytes unknown to the catalogue", True)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    def run(findings: list[Any], *arguments: str) -> tuple[int, list[str], list[str]]:
        def checked(check: Check) -> Any:
            for number, finding in enumerate(findings):
                check.tell("blobs", number, len(findings))
                if isinstance(finding, Exception):
                    raise finding
                yield finding

        monkeypatch.setattr(Check, "run", checked)
        status: Any = 0
        try:
            call_command("check_storage", *arguments)
        except SystemExit as ended:
            status = ended.code
        captured = capsys.readouterr()
        return status, captured.out.splitlines(), captured.err.splitlines()

    return run


@pytest.mark.parametrize(("findings", "status"), [([], 0), ([REPAIRED], 3), ([REMAINS], 2), ([REPAIRED, REMAINS], 2)], ids=str)
def test_exit_status(run: Any, findings: list[Finding], status: int) -> None:
    assert run(findings)[0] == status


def test_findings_name_the_keys(run: Any) -> None:
    _, lines, _ = run([REMAINS, REPAIRED])
    assert lines[0] == r"damaged: blob 1: its CRC is another; affects bucket/'a\nkey'"
    assert lines[1].endswith("[repaired]")
    assert lines[-1] == "2 found, 1 repaired, 1 remain"


def test_json_is_one_line_per_finding(run: Any) -> None:
    _, lines, _ = run([REMAINS], "--json")
    finding, summary = map(json.loads, lines)
    assert finding["affected"] == [["bucket", "a\nkey"]]
    assert (summary["found"], summary["remaining"]) == ({"damaged": 1}, 1)


def test_progress_shows_the_remaining_time(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_storage, "EVERY", 0.0)
    _, _, lines = run([REPAIRED] * 4, "-v", "2")
    assert re.fullmatch(r"Checked 3 of 4 blobs \([\d,]+ blobs a second, \d+ s left\)", lines[-1])
    assert run([REPAIRED] * 4)[2] == [], "progress must not be printed to a pipe"


@pytest.mark.parametrize(
    ("doing", "done", "total", "rate", "line"),
    [
        ("blobs", 300, 4000, 125514.2, "Checked 300 of 4,000 blobs (125,514 blobs a second, 0 s left)"),
        ("objects", 5, 10, 1.0, "Checked 5 of 10 objects (1 objects a second, 5 s left)"),
        ("names in storage", 2000, 0, 100.0, "Checked 2,000 names in storage (100 names a second)"),
        ("bytes", 5 << 30, 10 << 30, 256 << 20, "Read 5,120 of 10,240 MiB (256.0 MiB a second, 20 s left)"),
        ("bytes", 1 << 20, 0, 0.0, "Read 1 MiB (0.0 MiB a second)"),
    ],
)
def test_progress_names_the_counted_things(doing: str, done: int, total: int, rate: float, line: str) -> None:
    assert check_storage.progress_line(doing, done, total, rate) == line


def test_a_check_that_cannot_run_is_a_command_error(run: Any) -> None:
    with pytest.raises(CommandError, match="the disk is gone") as error:
        run([StorageError("the disk is gone")])
    assert error.value.returncode == 1
    for wrong in (["--min-age", "-1"], ["--repair", "--min-age", "10"]):
        with pytest.raises(CommandError, match="--min-age"):
            run([], *wrong)
