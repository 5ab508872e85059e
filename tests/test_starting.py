"""Programs in a forked child do what they do in a new interpreter, and runs of pytest share every test once."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from . import sharing, starting

SHOWN = """
import json, os, signal, sys, threading
umask = os.umask(0o077)
os.umask(umask)
print(json.dumps({
    "argv": sys.argv, "name": __name__, "path": [path for path in sys.path if "__editable__" not in path], "umask": umask,
    "environment": {name: value for name, value in os.environ.items() if name != "_"}, "directory": os.getcwd(),
    "input": sys.stdin.read(), "files": sorted(os.listdir("/proc/self/fd"))[:3], "threads": threading.active_count(),
    "handlers": [str(signal.getsignal(number)) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD)],
    "streams": [(s.encoding, s.errors, s.line_buffering, s.write_through, s.isatty()) for s in (sys.stdout, sys.stderr)],
    "post3": sorted(name for name in sys.modules if name.startswith(("post3", "tests"))),
}, indent=1))
"""
ENDS = {
    "returns": "pass",
    "exits with a status": "import sys; sys.exit(7)",
    "exits with a sentence": "import sys; sys.exit('No store here.')",
    "raises": "raise ValueError('wrong')",
    "is killed": "import os, signal; os.kill(os.getpid(), signal.SIGTERM)",
    "is interrupted": "import os, signal; os.kill(os.getpid(), signal.SIGINT); import time; time.sleep(5)",
    "runs what it registered": "import atexit; atexit.register(print, 'at exit'); print('before', end=' ')",
    "leaves a thread": "import threading, time; threading.Thread(target=lambda: (time.sleep(0.1), print('last'))).start()",
}


@pytest.fixture(params=["-c", "-m", "script"])
def shown(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """The arguments of `python` that run SHOWN."""
    (tmp_path / "shown.py").write_text(SHOWN)
    return {"-c": ["-c", SHOWN], "-m": ["-m", "shown"], "script": ["shown.py"]}[request.param]


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_forked_child_sees_what_a_new_interpreter_sees(shown: list[str], unbuffered: str, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered, "PYTHONPATH": f"/nowhere{os.pathsep}{tmp_path}", "OWN": "ü"}
    before = os.umask(0o027)
    try:
        forked, new = (
            starting.run(*shown, "--option", environment=environment, directory=tmp_path, text="given", anew=anew)
            for anew in (False, True)
        )
    finally:
        os.umask(before)
    assert new.returncode == 0 and '"umask": 23' in new.stdout, new.stderr
    assert (forked.returncode, forked.stderr) == (0, "")
    assert forked.stdout == new.stdout


@pytest.mark.parametrize("program", ENDS.values(), ids=list(ENDS))
def test_forked_child_ends_as_a_new_interpreter_does(program: str) -> None:
    forked, new = (starting.run("-c", program, environment=os.environ, anew=anew) for anew in (False, True))
    assert (forked.returncode, forked.stdout) == (new.returncode, new.stdout)
    assert forked.stderr.splitlines()[-1:] == new.stderr.splitlines()[-1:]


def test_forked_child_has_a_session_and_the_files_it_is_passed(tmp_path: Path) -> None:
    with open(tmp_path / "log", "w+b") as log, open(tmp_path / "passed", "wb") as passed:
        program = f"import os, time; os.write({passed.fileno()}, b'passed'); print(os.getsid(0), flush=True); time.sleep(60)"
        child = starting.start("-c", program, environment=os.environ, log=log, pass_fds=[passed.fileno()])
        assert isinstance(child, starting.Forked)
        deadline = time.monotonic() + 30
        while not (said := (tmp_path / "log").read_text()).endswith("\n"):
            assert child.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        assert int(said) == child.pid and (tmp_path / "passed").read_text() == "passed"
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.01)
        child.terminate()
        assert child.wait(30) == child.poll() == -signal.SIGTERM


@pytest.mark.parametrize("name", ["PYTHONDEVMODE", "LD_PRELOAD", "LC_ALL"])
def test_variable_that_the_interpreter_reads_needs_a_new_one(name: str) -> None:
    program = "import sys; print('gunicorn' in sys.modules)"
    assert starting.run("-c", program, environment=os.environ).stdout == "True\n"
    assert starting.run("-c", program, environment={**os.environ, name: ""}).stdout == "False\n"


@pytest.mark.parametrize("module", sharing.LONGEST)
def test_module_that_is_claimed_first_exists(module: str) -> None:
    assert (starting.ROOT / module).exists()


SAMPLE = """
import pytest, time
@pytest.fixture(scope="module", params=["a", "b"])
def server(request): return request.param
def test_of_a_server(server): time.sleep(0.05)
@pytest.mark.parametrize("number", range(5))
def test_of_none(number): time.sleep(0.01)
"""


def test_runs_share_every_test_once(tmp_path: Path) -> None:
    (tmp_path / "claims").mkdir()
    (directory := tmp_path / "tests").mkdir()
    for number in range(8):
        (directory / f"test_{number}.py").write_text(SAMPLE)
    environment = {**os.environ, sharing.VARIABLE: str(tmp_path / "claims"), "PYTHONPATH": str(starting.ROOT)}
    options = ["-p", sharing.__name__, "-p", "no:cacheprovider", "-v", f"--rootdir={directory}", "-c", os.devnull, str(directory)]
    runs = [
        subprocess.Popen(
            [sys.executable, "-m", "pytest", *options], cwd=directory, env=environment, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    printed = [run.communicate(timeout=60)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], printed
    passed = [re.findall(r"^(\S+) PASSED", text, re.MULTILINE) for text in printed]
    assert len(passed[0] + passed[1]) == len({*passed[0], *passed[1]}) == 8 * 7
