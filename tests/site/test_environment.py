"""Settings from the environment: valid values, and the error for each invalid value."""

import os
import re
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from post3.checks import check_names, check_values
from post3.conf import Settings
from post3.declaring import Setting, declared, misspelt
from post3_site.conf import SiteSettings
from post3_site.environment import PATIENCE, Environment, kept_secret, parse_address
from tests import starting
from tests.servers import ROOT

POSTGRESQL = "postgresql://u:p@localhost/d"


def problems_of(environment: Environment) -> list[str]:
    return [check_id for check_id, _, _ in environment.problems]


def read(setting: Setting, value: str) -> tuple[Any, list[str]]:
    environment = Environment({setting.name: value})
    return environment.read(setting), problems_of(environment)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("127.0.0.1:9000", ("127.0.0.1", 9000)), ("[::1]:80", ("::1", 80)), ("store.example:443", ("store.example", 443))],
)
def test_address_is_host_and_port(value: str, expected: tuple[str, int]) -> None:
    assert read(SiteSettings.HOST, value) == (value, [])
    assert parse_address(value) == expected


@pytest.mark.parametrize("value", ["9000", "localhost", "a:b", "a:99999", "a:0", "http://a:80", "a:80/x", "u@a:80", "[::1:80"])
def test_wrong_address_is_told(value: str) -> None:
    assert read(SiteSettings.HOST, value) == ("127.0.0.1:9000", ["post3.E004"])


@pytest.mark.parametrize("url", ["geheim", "mysql://u:geheim@h/d", "postgresql://u:geheim@h:x/d", "postgresql://u:geheim@h"])
def test_wrong_database_url_is_told_without_its_password(url: str) -> None:
    environment = Environment({"DATABASE_URL": url})
    assert environment.database(SiteSettings.DATABASE_URL, Path("unused"))["ENGINE"].endswith("dummy")
    ((check_id, message, hint),) = environment.problems
    assert check_id == "post3.E005"
    assert "geheim" not in message + hint


def test_database_url_of_postgresql_keeps_connections() -> None:
    environment = Environment({"DATABASE_URL": "postgresql://u:p%40@h:5433/d?sslmode=require"})
    database = environment.database(SiteSettings.DATABASE_URL, Path("unused"))
    assert environment.problems == []
    assert (database["HOST"], database["PORT"], database["PASSWORD"], database["CONN_MAX_AGE"]) == ("h", 5433, "p@", None)
    assert database["OPTIONS"] == {**PATIENCE, "sslmode": "require"}


def test_values_are_read_by_the_type_of_the_setting() -> None:
    class Declared:
        THREADS = Setting(1, help="")
        CACHE = Setting(1.0, help="")
        REGION = Setting("", help="")
        NAMES = Setting[list[str]]([], help="")
        OTHER = Setting(7, help="")
        STORAGES = Setting[dict[str, str]]({}, help="")

    values = {"THREADS": "4", "CACHE": "0.5", "REGION": "eu-west-1", "NAMES": "a, b,", "OTHER": "x", "STORAGES": "x"}
    environment = Environment({f"POST3_{name}": value for name, value in values.items()})
    expected = {"POST3_THREADS": 4, "POST3_CACHE": 0.5, "POST3_REGION": "eu-west-1", "POST3_NAMES": ["a", "b"]}
    assert environment.given(Declared) == expected
    assert problems_of(environment) == ["post3.E003"]


def test_secret_is_required_where_the_catalogue_is_not_embedded() -> None:
    environment = Environment({})
    environment.secret(SiteSettings.SECRET_KEY, None, {"ENGINE": "django.db.backends.postgresql"})
    assert problems_of(environment) == ["post3.E006"]


def test_secret_is_made_once_by_many_at_the_same_time(tmp_path: Path) -> None:
    path = tmp_path / "var" / "secret_key"
    with ThreadPoolExecutor(16) as pool:
        made = set(pool.map(lambda _: kept_secret(path), range(64)))
    assert len(made) == 1
    assert len(made.pop()) >= 50
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(path.parent) == ["secret_key"]


#: Variable, invalid value, and the id of the problem. A test below checks that every setting has an entry.
WRONG = [
    ("DATABASE_URL", "foo", "post3.E005"),
    ("DATABASE_URL", POSTGRESQL, "post3.E006"),
    ("DATABASE_URL", "mysql://a/b", "post3.E005"),
    ("POST3_HOST", "9000", "post3.E004"),
    ("POST3_CONSOLE_HOST", "9001", "post3.E040"),
    ("POST3_STORAGE", "s3", "post3.E002"),
    ("POST3_DATA_DIR", "/dev/null/x", "post3.E007"),
    ("POST3_SECRET_KEY", "short", "post3.E006"),
    ("POST3_SECRET_KEY_FALLBACKS", "short,also-short", ""),
    ("POST3_ALLOWED_HOSTS", "http://foo", "post3.E017"),
    ("POST3_ALLOWED_HOSTS", "good.example,foo:9000", "post3.E017"),
    ("POST3_ALLOWED_HOSTS", "foo/bar", "post3.E017"),
    ("POST3_ALLOWED_HOSTS", "*.example.com", "post3.E017"),
    ("POST3_ALLOWED_HOSTS", "::1", "post3.E017"),
    ("POST3_ALLOWED_HOSTS", "bücher.example", "post3.E017"),
    ("POST3_CSRF_TRUSTED_ORIGINS", "store.example", "post3.E008"),
    ("POST3_CSRF_TRUSTED_ORIGINS", "https://store.example/path", "post3.E008"),
    ("POST3_TLS_REDIRECT", "maybe", "post3.E001"),
    ("POST3_HSTS_SECONDS", "1 year", "post3.E003"),
    ("POST3_HSTS_SECONDS", "99999999999", "post3.E010"),
    ("POST3_HSTS_INCLUDE_SUBDOMAINS", "all", "post3.E001"),
    ("POST3_HSTS_PRELOAD", "2", "post3.E001"),
    ("POST3_TRUSTED_PROXIES", "*", "post3.E018"),
    ("POST3_TRUSTED_PROXIES", "10.0.0.1/8", "post3.E018"),
    ("POST3_TRUSTED_PROXIES", "::1,proxy.example", "post3.E018"),
    ("POST3_DEBUG", "perhaps", "post3.E001"),
    ("POST3_REGION", "US EAST", "post3.E011"),
    ("POST3_PUBLIC_ORIGIN", "s3.example.com", "post3.E060"),
    ("POST3_METRICS", "2", "post3.E001"),
    ("POST3_METRICS_TOKEN", "two words", "post3.E014"),
    ("POST3_METRICS_DIR", "relative/path", "post3.E013"),
    ("POST3_MAX_HEAD_SIZE", "1", "post3.E010"),
    ("POST3_MIN_PART_SIZE", "10000000000000", "post3.E015"),
    ("POST3_MAX_BODY_SIZE", "1048576", "post3.E015"),
    ("POST3_MAX_OBJECT_SIZE", "5000000000", "post3.E015"),
    ("POST3_THREADS", "many", "post3.E003"),
    ("POST3_THREADS", "0", "post3.E010"),
    ("POST3_THREADS", "1e3", "post3.E003"),
    ("POST3_THREADS", "9" * 5000, "post3.E003"),
    ("POST3_UPLOAD_THREADS", "1000000", "post3.E010"),
    ("POST3_HEAD_TIMEOUT", "nan", "post3.E010"),
    ("POST3_BODY_TIMEOUT", "inf", "post3.E010"),
    ("POST3_SEND_TIMEOUT", "-1", "post3.E010"),
    ("POST3_API_KEY_CACHE_SECONDS", "1e400", "post3.E010"),
]
NUMBERS = [setting for setting in declared(Settings) if setting.kind in (int, float)]


def test_each_setting_has_a_value_that_is_refused() -> None:
    named = {name for name, _, _ in WRONG} | {setting.name for setting in NUMBERS}
    free = {"POST3_REQUEST_LOG", "POST3_STORAGES"}  # a switch like the others; a dictionary with separate checks
    assert {setting.name for owner in (SiteSettings, Settings) for setting in declared(owner)} - named - free == set()


@pytest.mark.parametrize("setting", NUMBERS, ids=lambda setting: setting.name)
def test_numbers_out_of_range_and_other_types_are_refused(setting: Setting) -> None:
    assert setting.maximum is not None, "a setting has no upper bound"
    beyond = (setting.minimum or 0) - 1, setting.maximum + 1
    for value in (*beyond, float("nan"), float("inf"), True, None, "8", [8], 1.5 if setting.kind is int else 1j):
        assert (problem := setting.problem(value)) and problem.hint.startswith("Write "), value
    for value in (setting.minimum or 0, setting.maximum, setting.default):
        assert setting.problem(value) is None
    for text in (*map(str, beyond), "nan", "inf", "-inf", "8 GiB", "0x10"):
        assert read(setting, text)[0] == setting.default and len(read(setting, text)[1]) == 1, text


WORKER = "post3_site.worker.Worker"
STARTS = {
    "check": "manage.py check",
    "serve": "manage.py serve",
    "migrate": "manage.py migrate",
    "run_worker": "manage.py run_worker",
    "list_api_keys": "-m post3_site list_api_keys",
    "uvicorn": "-m uvicorn --port 1 post3_site.asgi:application",
    "gunicorn": f"-m gunicorn -c python:post3_site.gunicorn -k {WORKER} -b 127.0.0.1:1 post3_site.asgi:application",
}


def start(command: str, directory: Path, *, anew: bool = False, **values: str) -> subprocess.CompletedProcess[str]:
    """Run a command with these settings and no others."""
    inherited = {key: text for key, text in os.environ.items() if key != "DATABASE_URL" and not key.startswith("POST3_")}
    environment = {**inherited, "POST3_DATA_DIR": str(directory), **values}
    return starting.run(*command.split(), environment=environment, anew=anew, timeout=60)


def assert_refused_once(done: subprocess.CompletedProcess[str], check_id: str) -> None:
    assert done.returncode != 0
    assert re.findall(r"post3\.[EW]\d+", done.stdout + done.stderr) == [check_id]
    assert "Write " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("name", "value", "check_id"), [row for row in WRONG if row[2]], ids=lambda text: text[:40])
def test_wrong_environment_stops_with_one_sentence(name: str, value: str, check_id: str, tmp_path: Path) -> None:
    assert_refused_once(start("manage.py check", tmp_path, **{name: value}), check_id)


@pytest.mark.parametrize(
    ("name", "value", "check_id"),
    [
        ("POST3_TREADS", "8", "post3.E009"),
        ("DATABASE_URL", "foo", "post3.E005"),
        ("POST3_MIN_PART_SIZE", "10000000000000", "post3.E015"),
    ],
)
@pytest.mark.parametrize("way", [way for way in STARTS if way != "check"])
def test_wrong_environment_stops_every_start(way: str, name: str, value: str, check_id: str, tmp_path: Path) -> None:
    assert_refused_once(start(STARTS[way], tmp_path, anew=name == "POST3_TREADS", **{name: value}), check_id)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("POST3_TREADS", "POST3_THREADS"),
        ("POST3_THRAEDS", "POST3_THREADS"),
        ("POST3_SECRETKEY", "POST3_SECRET_KEY"),
        ("POST3-SECRET-KEY", "POST3_SECRET_KEY"),
        ("post3_threads", "POST3_THREADS"),
        ("POST3_ALLOWED_HOST", "POST3_ALLOWED_HOSTS"),
        ("POST3_DATABASE_URL", "DATABASE_URL"),
        ("POST3_DATA_DIRECTORY", "POST3_DATA_DIR"),
        ("POST3_STORAGES", "POST3_STORAGE"),
        ("POST3_MAX_OBJECTSIZE", "POST3_MAX_OBJECT_SIZE"),
    ],
)
def test_a_misspelt_name_is_told_with_the_right_one(name: str, meant: str) -> None:
    environment = Environment({name: "8"})
    environment.check_names(Settings, SiteSettings)
    ((check_id, message, hint),) = environment.problems
    assert (check_id, message, hint) == ("post3.E009", f"{name} is not a setting.", f"Write {meant}, or leave {name} out.")


@pytest.mark.parametrize("setting", declared(Settings) + declared(SiteSettings)[1:], ids=lambda setting: setting.name)
def test_a_letter_missing_doubled_or_swapped_is_told(setting: Setting) -> None:
    name, first = setting.name, len("POST3_")
    slips = {name[:i] + name[i + 1 :] for i in range(first, len(name))}
    slips |= {name[:i] + name[i] + name[i:] for i in range(first, len(name))}
    slips |= {name[:i] + name[i + 1] + name[i] + name[i + 2 :] for i in range(first, len(name) - 1)}
    known = {setting.name for owner in (Settings, SiteSettings) for setting in declared(owner)}
    assert len(list(misspelt(slips - known, known))) == len(slips - known)


@pytest.mark.parametrize("service", ["POST3", "POST3_WORKER", "POST3_METRICS", "POST3_CONSOLE", "POST3_DATA"])
def test_names_of_kubernetes_and_unknown_ones_are_left_alone(service: str) -> None:
    port = f"{service}_PORT_9000_TCP"
    names = ["SERVICE_HOST", "SERVICE_PORT", "SERVICE_PORT_HTTP", "PORT"]
    names = [f"{service}_{name}" for name in names] + [port, *(f"{port}_{part}" for part in ("PROTO", "PORT", "ADDR"))]
    others = ["POST3_ENDPOINT", "POST3_IMAGE", "POST3_PUBLISH", "POST3_NAME", "POST3_TEST_POSTGRESQL_URL", "POST3_VERSION"]
    environment = Environment(dict.fromkeys([*names, *others], "tcp://10.0.0.1:9000"))
    environment.check_names(Settings, SiteSettings)
    assert environment.problems == []


def test_switches_are_read_as_booleans() -> None:
    environment = Environment({"POST3_METRICS": "off", "POST3_REQUEST_LOG": "1"})
    assert environment.given(Settings) == {"POST3_METRICS": False, "POST3_REQUEST_LOG": True}
    assert not environment.problems
    wrong = Environment({"POST3_METRICS": "perhaps"})
    wrong.given(Settings)
    assert problems_of(wrong) == ["post3.E001"]


@pytest.mark.parametrize(
    ("name", "value", "check_id"),
    [
        ("POST3_METRICS", "yes", "post3.E012"),
        ("POST3_METRICS_DIR", "relative/path", "post3.E013"),
        ("POST3_METRICS_TOKEN", "two words", "post3.E014"),
        ("POST3_KEY_REQUESTS_PER_SECOND", -1.0, "post3.E010"),
        ("POST3_THREADS", "8", "post3.E010"),
        ("POST3_BODY_TIMEOUT", float("inf"), "post3.E010"),
        ("POST3_REGION", None, "post3.E011"),
        ("POST3_PUBLIC_ORIGIN", "nowhere", "post3.E060"),
        ("POST3_MIN_PART_SIZE", 10**13, "post3.E015"),
    ],
)
def test_a_projects_wrong_setting_is_told(name: str, value: object, check_id: str) -> None:
    with override_settings(**{name: value}):
        assert [error.id for error in check_values()] == [check_id]
    assert check_values() == []


@pytest.mark.parametrize("name", ["POST3_TREADS", "POST3_STORAGE", "POST3_MAX_BODYSIZE", "POST3_REGIONS"])
def test_a_projects_misspelt_setting_is_told(name: str) -> None:
    with override_settings(**{name: 8}):
        assert [(error.id, name in error.msg) for error in check_names()] == [("post3.E009", True)]
    assert check_names() == []


#: The settings in docs/operations.md, "Behind a proxy".
PRODUCTION = {
    "POST3_ALLOWED_HOSTS": "s3.example.com,console.example.com",
    "POST3_TRUSTED_PROXIES": "10.0.0.0/8",
    "POST3_TLS_REDIRECT": "1",
    "POST3_HSTS_SECONDS": "31536000",
    "POST3_HSTS_INCLUDE_SUBDOMAINS": "1",
}


def check_deploy(directory: Path, **values: str) -> set[str]:
    """Return the ids of the problems that `check --deploy` reports."""
    done = start("manage.py check --deploy", directory, **values)
    assert done.returncode == 0, done.stderr
    return set(re.findall(r"\((\w+\.\w+)\)", done.stderr))


def test_documented_production_configuration_passes_the_deployment_checks(tmp_path: Path) -> None:
    assert check_deploy(tmp_path, **PRODUCTION) == set()
    documented = (ROOT / "docs" / "operations.md").read_text()
    assert all(f"    {name}={value}\n" in documented for name, value in PRODUCTION.items())


def test_deployment_checks_name_what_plain_http_lacks(tmp_path: Path) -> None:
    assert check_deploy(tmp_path) == {f"security.{name}" for name in ("W004", "W008")}
    assert "security.W018" in check_deploy(tmp_path, POST3_DEBUG="1")
    assert check_deploy(tmp_path, **{**PRODUCTION, "POST3_HSTS_INCLUDE_SUBDOMAINS": "0"}) == {"security.W005"}
