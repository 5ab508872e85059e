"""The pytest plugin in the tests of another project, which has only the installed wheel."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from .conftest import Run

TESTS = """
import os, sys, urllib.request

assert "django" not in sys.modules and "boto3" not in sys.modules, "loaded before anybody asked"
PLACE = os.environ["PLACE"]


def test_objects(post3_client, post3_bucket):
    post3_client.put_object(Bucket=post3_bucket, Key="a", Body=b"bytes")
    assert post3_client.get_object(Bucket=post3_bucket, Key="a")["Body"].read() == b"bytes"
    post3_client.put_object(Bucket=post3_bucket, Key="b", Body=b"x" * 9_000_000)
    url = post3_client.generate_presigned_url("get_object", Params={"Bucket": post3_bucket, "Key": "a"})
    with urllib.request.urlopen(url) as response:
        assert response.read() == b"bytes"


def test_state_is_fresh(post3_client):
    assert post3_client.list_buckets()["Buckets"] == []
    post3_client.create_bucket(Bucket="mine")
    upload = post3_client.create_multipart_upload(Bucket="mine", Key="never completed")
    post3_client.upload_part(Bucket="mine", Key="never completed", UploadId=upload["UploadId"], PartNumber=1, Body=b"x")


def test_state_is_fresh_again(post3_client, post3_server, monkeypatch):
    assert post3_client.list_buckets()["Buckets"] == []
    name = post3_server.create_bucket()
    post3_server.delete_bucket(name)
    import boto3

    for variable, value in post3_server.environment().items():
        monkeypatch.setenv(variable, value)
    assert boto3.client("s3").list_buckets()["Buckets"] == []
    with open(PLACE, "w") as file:
        file.write(f"{post3_server.endpoint} {post3_server.directory}")


def test_the_projects_own_django_is_left_alone(post3_server):
    assert "django" not in sys.modules
    assert os.environ["DJANGO_SETTINGS_MODULE"] == "my_project.settings"
    assert os.environ["POST3_HOST"] == "nonsense"
"""
#: Options that make unclosed sockets and files errors.
UNCLOSED = ("-W", "error::ResourceWarning", "-W", "error::pytest.PytestUnraisableExceptionWarning")
#: Variables that another project may have set.
ENVIRONMENT = {"DJANGO_SETTINGS_MODULE": "my_project.settings", "POST3_HOST": "nonsense", "DATABASE_URL": "nonsense://"}


def gone(endpoint: str) -> bool:
    import socket

    host, port = endpoint.removeprefix("http://").split(":")
    with socket.socket() as place:
        return place.connect_ex((host, int(port))) != 0


def test_fixtures_in_another_project(run: Run, tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(TESTS)
    place = tmp_path / "place"
    options = ("-q", "-p", "no:cacheprovider", "--durations=0", "-vv", *UNCLOSED)
    done = run("python", "-m", "pytest", *options, PLACE=str(place), **ENVIRONMENT)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "4 passed" in done.stdout
    print(re.findall(r".*setup .*test_objects", done.stdout))
    endpoint, directory = place.read_text().split()
    assert gone(endpoint) and not Path(directory).exists()


def test_the_plugin_is_found_by_itself(run: Run) -> None:
    done = run("python", "-m", "pytest", "--fixtures", "-p", "no:cacheprovider")
    for name in ("post3_server", "post3_client", "post3_bucket"):
        assert name in done.stdout


def test_a_server_that_cannot_start_is_told_with_its_log(run: Run, tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text("def test_a(post3_server): ...\n")
    done = run(
        "python", "-m", "pytest", "-q", "-p", "no:cacheprovider", POST3_REGION="us-east-1", PYTHONWARNINGS="", PYTHONHOME=""
    )
    assert done.returncode == 0, done.stdout  # the server ignores the post3 settings in the project's environment
    (tmp_path / "uvicorn.py").write_text("raise ImportError('broken on purpose')\n")
    done = run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", PYTHONPATH=str(tmp_path))
    assert done.returncode == 1
    assert "The post3 server did not start" in done.stdout and "broken on purpose" in done.stdout


def test_the_server_ends_with_a_killed_pytest(environment: Path, clean: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(
        "import os, pathlib, time\n"
        "def test_a(post3_server):\n"
        "    pathlib.Path('place.new').write_text(post3_server.endpoint)\n"
        "    os.rename('place.new', 'place')\n"
        "    time.sleep(300)\n"
    )
    command = [environment / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    with subprocess.Popen(command, cwd=tmp_path, env={**clean, "TMPDIR": str(tmp_path)}, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while not (tmp_path / "place").exists():
            assert process.poll() is None and time.monotonic() < deadline
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
    endpoint = (tmp_path / "place").read_text()
    deadline = time.monotonic() + 30
    while not gone(endpoint):
        assert time.monotonic() < deadline, "the server outlived its tests"
        time.sleep(0.05)


@pytest.mark.parametrize("module", ["post3", "post3.pytest_plugin"])
def test_loading_the_plugin_costs_nothing(run: Run, module: str) -> None:
    code = (
        f"import sys, pytest, {module}; print({{name.split('.')[0] for name in sys.modules}} & {{'django', 'boto3', 'botocore'}})"
    )
    assert run("python", "-c", code).stdout.strip() == "set()"
