"""The wheel: `pip install post3.whl && post3 serve` creates and serves a store in an empty directory."""

import re
import subprocess
import tomllib
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from botocore.config import Config

import post3

from ..management.test_serve import Serve
from ..servers import ROOT, free_port
from .conftest import Run


class Installed(Serve):
    """A running `post3 serve` from the wheel, with its addresses as the only settings."""

    def __init__(self, script: Path, directory: Path, environment: dict[str, str], port: int) -> None:
        self.log_path, self.port = directory.parent / "serve.log", port
        self.console_host = f"127.0.0.1:{free_port()}"
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(
                [script, "serve"],
                cwd=directory,
                env={**environment, "POST3_HOST": f"127.0.0.1:{port}", "POST3_CONSOLE_HOST": self.console_host},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


@pytest.fixture
def installed(environment: Path, clean: dict[str, str], tmp_path: Path) -> Iterator[Installed]:
    directory = tmp_path / "empty"
    directory.mkdir()
    running = Installed(environment / "post3", directory, clean, free_port())
    running.wait_until_serving()
    yield running
    if running.process.poll() is None:
        running.process.terminate()
    running.process.wait(30)


def test_post3_serve_in_an_empty_directory(installed: Installed, tmp_path: Path, run: Run) -> None:
    told = dict(re.findall(r"^export (AWS_\w+)=(.+)$", installed.log(), re.MULTILINE))
    s3 = boto3.client(
        "s3",
        endpoint_url=told["AWS_ENDPOINT_URL"],
        aws_access_key_id=told["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=told["AWS_SECRET_ACCESS_KEY"],
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}),
    )
    s3.create_bucket(Bucket="first")
    for size in (10, 9_000_000):
        s3.put_object(Bucket="first", Key=f"a/{size}", Body=b"x" * size)
        assert s3.get_object(Bucket="first", Key=f"a/{size}")["Body"].read() == b"x" * size
    for path in ("/_/admin/login/", "/_/static/admin/css/base.css", "/_/health/ready"):
        with urllib.request.urlopen(f"http://{installed.console_host}{path}", timeout=20) as answer:
            assert answer.status == 200 and answer.read()
    data_dir = str(tmp_path / "empty" / "var")
    listed = run("post3", "list_api_keys", POST3_DATA_DIR=data_dir)
    assert told["AWS_ACCESS_KEY_ID"] in listed.stdout
    assert "AWS_ACCESS_KEY_ID=" in run("post3", "create_api_key", POST3_DATA_DIR=data_dir).stdout
    assert run("post3", "collect_garbage", POST3_DATA_DIR=data_dir).returncode == 0
    children = installed.children()
    assert set(children) == {"server", "worker"}
    installed.process.terminate()
    assert installed.process.wait(30) == 0
    assert not installed.is_listening()
    assert not [pid for pid in children.values() if Path(f"/proc/{pid}").exists()]
    assert [path.name for path in (tmp_path / "empty").iterdir()] == ["var"]
    assert "Traceback" not in installed.log()


@pytest.mark.parametrize("program", [("post3",), ("python", "-m", "post3_site")])
def test_version_and_help(run: Run, program: tuple[str, ...]) -> None:
    assert run(*program, "--version").stdout == f"post3 {post3.__version__}\n"
    done = run(*program, "help")
    for command in ("serve", "run_worker", "create_api_key", "check_storage", "rebuild_catalog"):
        assert command in done.stdout.split()


def test_a_command_before_there_is_a_catalogue_says_so_in_one_line(run: Run) -> None:
    done = run("post3", "list_api_keys")
    (line,) = done.stderr.splitlines()
    assert done.returncode == 1 and "There is no store here" in line and "migrate" in line


def test_wrong_commands_and_settings_are_told_without_traceback(run: Run) -> None:
    for arguments, options, expected in (
        (("sevre",), {}, "serve"),
        (("create_api_key", "--user", "nobody"), {"POST3_STORAGE": "tape"}, "Write filesystem or database."),
    ):
        done = run("post3", *arguments, **options)
        assert done.returncode == 1 and expected in done.stderr and "Traceback" not in done.stderr


def test_the_wheel_holds_the_app_and_the_site_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if "dist-info" not in name} == {"post3", "post3_site"}
    tracked = subprocess.run(["git", "ls-files", "post3", "post3_site"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(tracked.stdout.split()) <= set(names)


def test_the_wheel_asks_for_all_that_the_site_is_tested_with(wheel: Path) -> None:
    """Check that each requirement in requirements/base.txt is a dependency, with a range that contains its version."""
    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {requirement.name.lower(): requirement for requirement in map(Requirement, project["dependencies"])}
    lines = (ROOT / "requirements" / "base.txt").read_text().splitlines()
    pinned = {pin.name.lower(): pin for pin in (Requirement(line) for line in lines if line and not line.startswith("#"))}
    assert wanted.keys() == pinned.keys()
    for name, pin in pinned.items():
        (version,) = [specifier.version for specifier in pin.specifier]
        assert wanted[name].specifier.contains(version), name
