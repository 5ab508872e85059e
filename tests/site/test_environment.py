"""The environment as settings: good values, and the sentence for each wrong one."""

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.test import override_settings

from post3.checks import check_values
from post3.conf import Settings
from post3_site.environment import PATIENCE, Environment, kept_secret
from tests.servers import ROOT

POSTGRESQL = "postgresql://u:p@localhost/d"


def read(call: str, *arguments: object, **values: str) -> tuple[object, list[str]]:
    environment = Environment(values)
    result = getattr(environment, call)(*arguments)
    return result, [check_id for check_id, _, _ in environment.problems]


@pytest.mark.parametrize(
    ("value", "expected"),
    [("127.0.0.1:9000", ("127.0.0.1", 9000)), ("[::1]:80", ("::1", 80)), ("store.example:443", ("store.example", 443))],
)
def test_address_is_host_and_port(value: str, expected: tuple[str, int]) -> None:
    assert read("address", "POST3_HOST", "127.0.0.1:9000", POST3_HOST=value) == (expected, [])


@pytest.mark.parametrize("value", ["9000", "localhost", "a:b", "a:99999", "a:0", "http://a:80", "a:80/x", "u@a:80", "[::1:80"])
def test_wrong_address_is_told(value: str) -> None:
    assert read("address", "POST3_HOST", "127.0.0.1:9000", POST3_HOST=value) == (("127.0.0.1", 9000), ["post3.E004"])


@pytest.mark.parametrize("url", ["geheim", "mysql://u:geheim@h/d", "postgresql://u:geheim@h:x/d", "postgresql://u:geheim@h"])
def test_wrong_database_url_is_told_without_its_password(url: str) -> None:
    environment = Environment({"DATABASE_URL": url})
    assert environment.database("DATABASE_URL", Path("unused")) == {}
    ((check_id, message, hint),) = environment.problems
    assert check_id == "post3.E005"
    assert "geheim" not in message + hint


def test_database_url_of_postgresql_keeps_connections() -> None:
    database, problems = read(
        "database", "DATABASE_URL", Path("unused"), DATABASE_URL="postgresql://u:p%40@h:5433/d?sslmode=require"
    )
    assert problems == []
    assert isinstance(database, dict)
    assert (database["HOST"], database["PORT"], database["PASSWORD"], database["CONN_MAX_AGE"]) == ("h", 5433, "p@", None)
    assert database["OPTIONS"] == {**PATIENCE, "sslmode": "require"}


def test_numbers_are_read_by_the_type_of_the_setting() -> None:
    kinds = {"THREADS": int, "CACHE": float, "REGION": str, "OTHER": int, "STORAGES": dict}
    values = {"POST3_THREADS": "4", "POST3_CACHE": "0.5", "POST3_REGION": "eu-west-1", "POST3_OTHER": "x", "POST3_STORAGES": "x"}
    expected = {"POST3_THREADS": 4, "POST3_CACHE": 0.5, "POST3_REGION": "eu-west-1"}
    assert read("scalars", kinds, **values) == (expected, ["post3.E003"])


def test_secret_is_required_where_the_catalogue_is_not_embedded() -> None:
    assert read("secret", "POST3_SECRET_KEY", None) == ("", ["post3.E006"])


def test_secret_is_made_once_by_many_at_the_same_time(tmp_path: Path) -> None:
    path = tmp_path / "var" / "secret_key"
    with ThreadPoolExecutor(16) as pool:
        made = set(pool.map(lambda _: kept_secret(path), range(64)))
    assert len(made) == 1
    assert len(made.pop()) >= 50
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == ["secret_key"]


@pytest.mark.parametrize(
    ("name", "value", "check_id"),
    [
        ("POST3_DEBUG", "perhaps", "post3.E001"),
        ("POST3_STORAGE", "s3", "post3.E002"),
        ("POST3_THREADS", "many", "post3.E003"),
        ("POST3_HOST", "9000", "post3.E004"),
        ("DATABASE_URL", "foo", "post3.E005"),
        ("DATABASE_URL", POSTGRESQL, "post3.E006"),
        ("POST3_DATA_DIR", "/dev/null/x", "post3.E007"),
        ("POST3_CSRF_TRUSTED_ORIGINS", "store.example", "post3.E008"),
        ("POST3_THREADS", "0", "post3.E010"),
        ("POST3_REGION", "US EAST", "post3.E011"),
    ],
)
@pytest.mark.parametrize("command", ["manage.py check", "manage.py serve", "-m uvicorn --port 1 post3_site.asgi:application"])
def test_wrong_environment_stops_every_start(command: str, name: str, value: str, check_id: str, tmp_path: Path) -> None:
    inherited = {key: text for key, text in os.environ.items() if key != "DATABASE_URL" and not key.startswith("POST3_")}
    environment = {**inherited, "POST3_DATA_DIR": str(tmp_path), name: value}
    done = subprocess.run(
        [sys.executable, *command.split()], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode != 0
    assert check_id in done.stderr
    assert "Write " in done.stderr
    assert "Traceback" not in done.stderr


def test_switches_are_read_as_booleans() -> None:
    environment = Environment({"POST3_METRICS": "off", "POST3_REQUEST_LOG": "1"})
    assert environment.scalars(Settings.__annotations__) == {"POST3_METRICS": False, "POST3_REQUEST_LOG": True}
    assert not environment.problems
    wrong = Environment({"POST3_METRICS": "perhaps"})
    wrong.scalars(Settings.__annotations__)
    assert [check_id for check_id, _, _ in wrong.problems] == ["post3.E001"]


@pytest.mark.parametrize(
    ("name", "value", "check_id"),
    [
        ("POST3_METRICS", "yes", "post3.E012"),
        ("POST3_METRICS_DIR", "relative/path", "post3.E013"),
        ("POST3_METRICS_TOKEN", "two words", "post3.E014"),
        ("POST3_KEY_REQUESTS_PER_SECOND", -1.0, "post3.E010"),
    ],
)
def test_a_projects_wrong_setting_is_told(name: str, value: object, check_id: str) -> None:
    with override_settings(**{name: value}):
        assert [error.id for error in check_values()] == [check_id]
    assert check_values() == []
