"""The tests that `python -m tests --quick` leaves out, and its message about them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from . import quick
from .servers import ROOT

MODULE = """
import pytest

@pytest.fixture(params=["sqlite-files", "postgresql-blocks"])
def kind(request): return request.param

@pytest.fixture(params=[("uvicorn", "sqlite-files"), ("gunicorn", "postgresql-files")])
def pair(request): return request.param

@pytest.fixture
def postgresql(): raise AssertionError

def test_kind(kind): assert kind == "sqlite-files"
def test_pair(pair): assert pair == ("uvicorn", "sqlite-files")
@pytest.mark.parametrize("other", ["postgresql-blocks", "postgresql"])
def test_parameter(other): assert other == "postgresql"
def test_fixture(postgresql): pass
@pytest.mark.slow
def test_slow(): raise AssertionError
@pytest.mark.skip(reason="to be counted")
def test_skipped(): raise AssertionError
"""


def test_quick_tests_print_what_they_leave_out(tmp_path: Path) -> None:
    (tmp_path / "test_sample.py").write_text(MODULE)
    environment = {name: value for name, value in os.environ.items() if name != "POST3_TEST_POSTGRESQL_URL"}
    command = [sys.executable, "-m", "tests", "--quick", str(tmp_path / "test_sample.py")]
    done = subprocess.run(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    counted, left_out = done.stdout.splitlines()[-1].split("; ")
    assert counted == "3 passed, 0 failed, 1 skipped"
    assert left_out == "left out: 4 on PostgreSQL, 1 slow (`make test` runs them)"


@pytest.mark.parametrize("path", [*quick.PATHS, *quick.SLOW])
def test_path_of_quick_tests_exists(path: str) -> None:
    module, _, name = path.partition("::")
    assert (ROOT / module).exists()
    assert not name or f"def {name}(" in (ROOT / module).read_text()
