"""The Makefile and mise.toml agree, and their tasks work."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable

import pytest
from ruamel.yaml import YAML

from .helpers import query
from .servers import ROOT, Server

TASKS: dict[str, dict[str, str]] = tomllib.loads((ROOT / "mise.toml").read_text())["tasks"]
MAKEFILE = (ROOT / "Makefile").read_text()
#: Target -> its description in `make help`.
TARGETS = dict(re.findall(r"^([a-z0-9-]+):.*? ## (.*)$", MAKEFILE, re.MULTILINE))
REQUIRED = """up down check dev test test:quick test:integration coverage db:shell db:reset build ci:pr ci:main
    example:basic example:metadata example:boto3 example:cli example:curl example:large""".split()


def make(*arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run make without updating the environment in which the tests run."""
    command = ["make", "--no-print-directory", "-o", ".venv/.base", "-o", ".venv/.dev", f"PYTHON={sys.executable}", *arguments]
    # Variables of the make that runs these tests.
    inherited = {name: text for name, text in (environment or os.environ).items() if name not in ("MAKEFLAGS", "MAKELEVEL")}
    return subprocess.run(command, cwd=ROOT, env=inherited, stdin=subprocess.DEVNULL, capture_output=True, text=True)


def target_of(task: str) -> str:
    found = re.fullmatch(r"make ([a-z0-9-]+)", TASKS[task]["run"])
    assert found, f"{task} is not one line that calls a target: {TASKS[task]['run']}"
    return found[1]


def test_all_tasks_exist() -> None:
    assert set(REQUIRED) <= set(TASKS)


def test_every_task_is_a_target_and_every_target_a_task() -> None:
    assert sorted(map(target_of, TASKS)) == sorted(set(TARGETS) - {"help"})


@pytest.mark.parametrize("task", TASKS)
def test_task_and_target_have_the_same_description(task: str) -> None:
    assert TASKS[task]["description"] == TARGETS[target_of(task)]


def test_help_lists_all_targets_in_groups() -> None:
    done = make("help")
    assert (done.returncode, done.stderr) == (0, "")
    listed = dict(re.findall(r"^  ([a-z0-9-]+) +(.*)$", done.stdout, re.MULTILINE))
    assert listed == TARGETS
    groups = re.findall(r"^##@ (.*)$", MAKEFILE, re.MULTILINE)
    assert [line for line in done.stdout.splitlines() if line and not line.startswith(" ")] == groups
    assert len(groups) > 3


def test_every_target_is_phony() -> None:
    phony = re.search(r"^\.PHONY: ((?:.*\\\n)*.*)$", MAKEFILE, re.MULTILINE)
    assert phony and set(phony[1].replace("\\\n", " ").split()) == set(TARGETS)


@pytest.mark.parametrize("target", TARGETS)
def test_target_runs_something(target: str) -> None:
    done = make("-n", target)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip()
    for path in re.findall(r"(?:docs|tests)/[\w/.]+", done.stdout):
        assert (ROOT / path).exists(), path


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "SECURITY.md"])
def test_targets_and_files_named_by_the_page_exist(page: str) -> None:
    words = re.findall(r"`([^`\n]+)`|^    (.+)$", (ROOT / page).read_text(), re.MULTILINE)
    code = [inline or block for inline, block in words]
    assert {text.split()[1] for text in code if text.startswith("make ")} <= set(TARGETS)
    paths = [path for text in code for path in re.findall(r"(?:docs|tests|docker|post3|requirements)/[\w/.-]*", text)]
    assert paths and [path for path in paths if not (ROOT / path).exists()] == []


def test_hooks_call_the_environment_and_name_no_version() -> None:
    config = ROOT / ".pre-commit-config.yaml"
    command = [sys.executable, "-m", "pre_commit", "validate-config", str(config)]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    repositories = YAML(typ="safe").load(config)["repos"]
    assert [repository["repo"] for repository in repositories] == ["local"]
    for hook in repositories[0]["hooks"]:
        assert hook["language"] == "system" and re.match(r"\.venv/bin/(ruff|mypy)\b", hook["entry"]), hook


@pytest.mark.parametrize("kind", ["sqlite-files", "postgresql-blocks"])
def test_dbreset_asks_and_empties_the_store(make_server: Callable[..., Server], kind: str) -> None:
    server = make_server(kind)
    s3 = server.client()
    s3.create_bucket(Bucket="mine")
    s3.put_object(Bucket="mine", Key="a", Body=b"x" * 1000)
    server.stop()
    done = make("dbreset", environment=server.environment)
    assert done.returncode != 0 and "Nothing was deleted." in done.stdout
    assert query(server, "SELECT count(*) FROM post3_object") == [(1,)]

    done = make("dbreset", "YES=1", environment=server.environment)
    assert (done.returncode, done.stdout) == (0, "The store is empty.\n"), done.stderr
    assert not (server.data_dir / "var" / "objects").exists()
    for table in ("object", "bucket", "blob", "apikey"):
        assert query(server, f"SELECT count(*) FROM post3_{table}") == [(0,)]

    # The reset store can be used again, with other keys.
    server.access_key = ""
    server.start()
    s3 = server.client()
    assert s3.list_buckets()["Buckets"] == []
    s3.create_bucket(Bucket="mine")
    s3.put_object(Bucket="mine", Key="a", Body=b"again")
    assert s3.get_object(Bucket="mine", Key="a")["Body"].read() == b"again"
