"""The compose files and the workflow, checked against the published schemas.

Checks beyond the schemas: the names in them refer to something.
"""

import re
import subprocess
import sys
import tomllib
from typing import Any

import pytest
from ruamel.yaml import YAML

from post3.conf import conf
from post3_site import gunicorn

from ..servers import ROOT
from ..versions.postgresql import VERSIONS

COMPOSE, DEVELOPMENT = "docker/compose.yaml", "docker/compose.dev.yaml"
WORKFLOW = ".github/workflows/ci.yml"


def load(name: str) -> Any:
    return YAML(typ="safe").load(ROOT / name)


def seconds(text: str) -> int:
    assert text.endswith("s") and text[:-1].isdigit(), text
    return int(text[:-1])


@pytest.mark.parametrize(
    ("schema", "name"),
    [("vendor.compose-spec", COMPOSE), ("vendor.compose-spec", DEVELOPMENT), ("vendor.github-workflows", WORKFLOW)],
)
def test_the_file_follows_its_schema(schema: str, name: str) -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, name]
    done = subprocess.run(command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_schema_refuses_errors() -> None:
    """Otherwise the test above would prove nothing."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", "-"]
    wrong = '{"services": {"server": {"image": "post3", "restarts": "always"}}}'
    done = subprocess.run(command, input=wrong, capture_output=True, text=True)
    assert done.returncode == 1 and "restarts" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize("name", [COMPOSE, DEVELOPMENT])
def test_services_name_existing_services_and_volumes(name: str) -> None:
    document = load(name)
    services, volumes = document["services"], document["volumes"]
    used = set()
    for service in services.values():
        for other, terms in service.get("depends_on", {}).items():
            assert other in services
            if terms["condition"] == "service_healthy":
                assert services[other].get("healthcheck", {}) != {"disable": True}
        sources = [volume.split(":")[0] for volume in service.get("volumes", [])]
        used |= {source for source in sources if not source.startswith(".")}
        assert all((ROOT / "docker" / source).exists() for source in sources if source.startswith("."))
    assert used == set(volumes)


def test_secrets_are_required_and_not_in_the_file() -> None:
    text = (ROOT / COMPOSE).read_text()
    for name in ("POST3_SECRET_KEY", "POSTGRES_PASSWORD"):
        uses = re.findall(rf"\$\{{{name}[^}}]*\}}", text)
        assert uses and all(use.startswith(f"${{{name}:?") for use in uses)


@pytest.mark.parametrize("name", ["migrate", "server", "worker"])
def test_post3s_own_services_can_write_only_to_required_places(name: str) -> None:
    service = load(COMPOSE)["services"][name]
    assert service["read_only"] is True and service["cap_drop"] == ["ALL"]
    assert service["volumes"] == ["data:/var/lib/post3"] and service["tmpfs"][0].startswith("/tmp:")


def test_a_container_has_more_time_to_stop_than_its_requests() -> None:
    services = load(COMPOSE)["services"]
    assert all(seconds(services[name]["stop_grace_period"]) > gunicorn.graceful_timeout for name in ("server", "nginx"))


def test_postgresql_accepts_the_connections_of_eight_processes() -> None:
    command = load(COMPOSE)["services"]["postgres"]["command"]
    allowed = next(int(word.split("=")[1]) for word in command if word.startswith("max_connections="))
    assert allowed >= 8 * (conf.THREADS + conf.UPLOAD_THREADS) + 20


def test_postgresql_18_keeps_its_data_in_the_volume() -> None:
    """The image's data directory changed in version 18. With the old path, data would be lost with the container."""
    for name in (COMPOSE, DEVELOPMENT):
        service = load(name)["services"]["postgres"]
        assert service["image"] == "postgres:18" and service["volumes"] == ["database:/var/lib/postgresql"]
    assert load(DEVELOPMENT)["services"]["postgres"]["ports"] == ["127.0.0.1:5435:5432"]


def test_the_workflow_calls_the_pipeline_and_pins_its_actions() -> None:
    document = load(WORKFLOW)
    assert set(document["on"]) == {"pull_request", "push"} and document["on"]["push"] == {"branches": ["main"]}
    for name, job in document["jobs"].items():
        commands = [step["run"] for step in job["steps"] if "run" in step]
        assert len(commands) == 2 and re.fullmatch(r"docker/ci/postgresql\.sh (15|\$\{\{ matrix\.postgresql \}\})", commands[0])
        assert commands[1].startswith(f"python3 docker/ci/pipeline.py {name} ")
        actions = [step["uses"] for step in job["steps"] if "uses" in step]
        assert actions and all(re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", action) for action in actions)


def test_the_matrix_is_every_supported_version() -> None:
    matrix = load(WORKFLOW)["jobs"]["matrix"]["strategy"]["matrix"]
    assert matrix["postgresql"] == list(VERSIONS)
    oldest = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]
    assert oldest == f">={matrix['python'][0]}" and matrix["python"] == [f"3.{minor}" for minor in range(11, 15)]


def test_the_console_has_its_own_port() -> None:
    services = load(COMPOSE)["services"]
    assert services["server"]["environment"]["POST3_CONSOLE_HOST"] == "${POST3_CONSOLE_HOST:-0.0.0.0:9001}"
    assert services["server"]["ports"] == [
        "${POST3_PUBLISH:-127.0.0.1:9000}:9000",
        "${POST3_CONSOLE_PUBLISH:-127.0.0.1:9001}:9001",
    ]
