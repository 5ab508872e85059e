"""The ingredients of the image, tested without building it.

`python -m tests.container.verify` builds and runs the image, in minutes.
"""

import os
import re
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ..servers import ROOT, Server, free_port

DOCKERFILE = (ROOT / "docker" / "Dockerfile").read_text()
#: Instructions of the last stage, with continued lines joined.
FINAL = DOCKERFILE.replace("\\\n", " ").rsplit("\nFROM ", 1)[1].splitlines()
PATIENCE = 60


def instruction(name: str) -> str:
    """Return the arguments of the final image's last instruction of this name."""
    return [line.split(None, 1)[1] for line in FINAL if line.startswith(f"{name} ")][-1]


def image_environment(server: Server) -> dict[str, str]:
    """Return a server's environment with this environment's programs first on PATH, as in the image."""
    return {**server.environment, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def test_the_context_contains_everything_that_the_dockerfile_copies(tmp_path: Path) -> None:
    command = [sys.executable, "docker/ci/pipeline.py", "--step", "package", "--runner", "native", "--image", "no"]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    name = re.search(r"context: (\S+)", done.stdout)
    assert name, done.stdout
    with tarfile.open(ROOT / name[1]) as archive:
        members = {member.name.removeprefix("./"): member for member in archive if member.isfile()}
    assert {"docker/Dockerfile", "manage.py", "post3/__init__.py", "requirements/base.txt"} <= set(members)
    assert members["docker/entrypoint.sh"].mode & 0o111
    top = {name.split("/")[0] for name in members}
    assert top == {"LICENSE", "manage.py", "post3", "post3_site", "requirements", "docker"}
    assert not [name for name in members if "__pycache__" in name or name.endswith(".env")]


def test_the_image_runs_as_a_numeric_user_and_has_a_health_check() -> None:
    assert re.fullmatch(r"[1-9]\d+:[1-9]\d+", instruction("USER"))
    assert instruction("STOPSIGNAL") == "SIGTERM" and instruction("VOLUME") == "/var/lib/post3"
    assert instruction("HEALTHCHECK").endswith('CMD ["python", "/app/health.py"]')
    assert instruction("ENTRYPOINT") == '["/app/entrypoint.sh"]' and instruction("CMD") == '["gunicorn"]'


def test_base_images_are_arguments() -> None:
    assert DOCKERFILE.count("\nFROM ${BASE_IMAGE}") == 2 and "ARG BASE_IMAGE=debian:bookworm-slim" in DOCKERFILE


@pytest.fixture
def prepared(make_server: Callable[..., Server]) -> Server:
    """Return a server with data and settings, whose process is stopped."""
    server = make_server("sqlite-files")
    server.stop()
    return server


def test_the_entrypoint_runs_commands_of_manage_py(prepared: Server) -> None:
    command = ["docker/entrypoint.sh", "list_api_keys"]
    done = subprocess.run(command, cwd=ROOT, env=image_environment(prepared), stdin=subprocess.DEVNULL, capture_output=True)
    assert done.returncode == 0 and prepared.access_key.encode() in done.stdout, done.stderr


def test_the_entrypoint_serves_until_sigterm_and_the_health_check_follows(prepared: Server) -> None:
    environment = image_environment(prepared)
    assert health(environment) == (1, f"{prepared.host}:{prepared.port} does not answer: [Errno 111] Connection refused\n")
    command = ["docker/entrypoint.sh", "gunicorn", "--workers", "1"]
    with open(prepared.log_path, "ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + PATIENCE
        while health(environment)[0]:
            assert process.poll() is None and time.monotonic() < deadline, prepared.log()
            time.sleep(0.1)
        s3 = prepared.client()
        s3.create_bucket(Bucket="image")
        s3.put_object(Bucket="image", Key="key", Body=b"body")
        assert s3.get_object(Bucket="image", Key="key")["Body"].read() == b"body"
        assert health(environment, "live")[0] == 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0, prepared.log()
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def health(environment: dict[str, str], *arguments: str) -> tuple[int, str]:
    """Run the image's health check. Return its status and its error output."""
    command = [sys.executable, "docker/health.py", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    return done.returncode, done.stderr


def test_the_health_check_reports_an_invalid_address() -> None:
    status, text = health({**os.environ, "POST3_HOST": "0.0.0.0:none"})
    assert status == 1 and "0.0.0.0:none" in text and "Traceback" not in text


def test_the_health_check_uses_the_loopback_if_the_server_listens_on_all_addresses() -> None:
    port = free_port()
    status, text = health({**os.environ, "POST3_HOST": f"0.0.0.0:{port}"})
    assert status == 1 and "refused" in text
