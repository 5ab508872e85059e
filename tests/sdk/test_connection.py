"""The client's endpoint and credentials, and its errors if they are missing or wrong."""

import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError

from post3.sdk import AccessDenied, Client, NoCredentials, NotFound

from ..servers import ROOT, Server, free_port
from .conftest import client_of


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """Remove all keys from the environment."""
    for name in [name for name in os.environ if name.startswith("AWS_") or name == "POST3_ENDPOINT"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    return monkeypatch


def python(statement: str) -> subprocess.CompletedProcess[str]:
    """Run a statement in a Python process without Django settings."""
    environment = {name: text for name, text in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    return subprocess.run([sys.executable, "-c", statement], cwd=ROOT, env=environment, capture_output=True, text=True)


def test_the_sdk_imports_no_django() -> None:
    done = python("import sys, post3.sdk; print(sorted({name.split('.')[0] for name in sys.modules} & {'django', 'post3_site'}))")
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_without_boto3_the_import_error_says_what_to_install() -> None:
    done = python("import sys; sys.modules['boto3'] = None; import post3.sdk")
    assert done.stderr.splitlines()[-1] == (
        "ImportError: post3.sdk needs boto3, which is not installed: pip install 'post3[sdk]'"
    )


def test_environment_names_server_and_key(server: Server, bucket: str, nobody: pytest.MonkeyPatch) -> None:
    nobody.setenv("POST3_ENDPOINT", server.url + "/")
    nobody.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    nobody.setenv("AWS_ACCESS_KEY_ID", server.access_key)
    nobody.setenv("AWS_SECRET_ACCESS_KEY", server.secret_key)
    with Client() as client:
        assert client.endpoint == server.url
        assert client.bucket_exists(bucket)


NOWHERE = "http://127.0.0.1:1"
PROFILE = """[default]
endpoint_url = {default}
services = here
[profile plain]
endpoint_url = {plain}
[services here]
s3 =
    endpoint_url = {service}
"""


@pytest.mark.parametrize(
    ("given", "environment", "expected"),
    [
        ("http://a:1", {"POST3_ENDPOINT": NOWHERE, "AWS_ENDPOINT_URL": NOWHERE}, "http://a:1"),
        (None, {"POST3_ENDPOINT": "http://a:2", "AWS_ENDPOINT_URL_S3": NOWHERE}, "http://a:2"),
        (None, {"AWS_ENDPOINT_URL_S3": "http://a:3/s3/", "AWS_ENDPOINT_URL": NOWHERE}, "http://a:3/s3"),
        (None, {"AWS_ENDPOINT_URL": "http://a:4"}, "http://a:4"),
        (None, {"AWS_ENDPOINT_URL": ""}, "http://service:5"),
        (None, {"AWS_PROFILE": "plain"}, "http://plain:6"),
        (None, {"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true", "AWS_ENDPOINT_URL": NOWHERE}, "http://127.0.0.1:9000"),
    ],
)
def test_the_endpoint_is_determined_in_boto3s_order(
    given: str | None, environment: dict[str, str], expected: str, nobody: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = tmp_path / "config"
    config.write_text(PROFILE.format(default=NOWHERE, plain="http://plain:6", service="http://service:5"))
    for name, text in {"AWS_CONFIG_FILE": str(config), **environment}.items():
        nobody.setenv(name, text)
    with Client(given, access_key="a", secret_key="b") as client:
        assert client.endpoint == expected


def test_the_error_of_a_wrong_endpoint_names_its_variable(nobody: pytest.MonkeyPatch) -> None:
    nobody.setenv("AWS_ENDPOINT_URL", "127.0.0.1:9000")
    with pytest.raises(ValueError, match="from AWS_ENDPOINT_URL"):
        Client(access_key="a", secret_key="b")


def test_the_lines_printed_by_serve_are_sufficient_for_the_client(
    server: Server, bucket: str, nobody: pytest.MonkeyPatch
) -> None:
    nobody.setenv("AWS_ENDPOINT_URL", server.url)
    nobody.setenv("AWS_ACCESS_KEY_ID", server.access_key)
    nobody.setenv("AWS_SECRET_ACCESS_KEY", server.secret_key)
    with Client() as client:
        assert client.bucket_exists(bucket)


def test_given_key_takes_precedence_over_the_environment(server: Server, bucket: str, nobody: pytest.MonkeyPatch) -> None:
    nobody.setenv("AWS_ACCESS_KEY_ID", "wrong")
    nobody.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    assert client_of(server).bucket_exists(bucket)


def test_defaults(nobody: pytest.MonkeyPatch) -> None:
    client = Client(access_key="key", secret_key="secret", config=Config(read_timeout=7))
    config = client.s3.meta.config
    assert client.endpoint == "http://127.0.0.1:9000"
    assert (config.region_name, config.s3["addressing_style"], config.signature_version) == ("us-east-1", "path", "s3v4")
    assert config.retries == {"mode": "standard", "total_max_attempts": 4}
    assert (config.connect_timeout, config.read_timeout) == (5, 7)


def test_without_a_key_the_error_says_what_to_set(nobody: pytest.MonkeyPatch) -> None:
    with pytest.raises(NoCredentials, match="Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        Client()
    with pytest.raises(ValueError, match="go together"):
        Client(access_key="key")


@pytest.mark.parametrize("endpoint", ["127.0.0.1:9000", "ftp://127.0.0.1", "http://", "http://127.0.0.1:9000/?x=1"])
def test_an_invalid_endpoint_is_refused(endpoint: str) -> None:
    with pytest.raises(ValueError, match="is no URL like"):
        Client(endpoint, access_key="key", secret_key="secret")


def test_wrong_keys_are_access_denied(server: Server, bucket: str) -> None:
    with pytest.raises(AccessDenied) as caught:
        client_of(server, secret_key="wrong").put_bytes(bucket, "a", b"")
    assert (caught.value.code, caught.value.status) == ("SignatureDoesNotMatch", 403)
    with pytest.raises(AccessDenied) as caught:
        client_of(server, access_key="wrong").get_bytes(bucket, "a")
    assert caught.value.code == "InvalidAccessKeyId"


def test_refusals_are_botocores_client_errors(client: Client, bucket: str) -> None:
    with pytest.raises(ClientError) as caught:
        client.get_bytes(bucket, "missing")
    assert type(caught.value) is NotFound
    again = pickle.loads(pickle.dumps(caught.value))
    assert (type(again), again.code, str(again)) == (NotFound, "NoSuchKey", str(caught.value))


def test_the_error_of_an_unreachable_server_has_its_address() -> None:
    client = Client(f"http://127.0.0.1:{free_port()}", access_key="key", secret_key="secret", attempts=1)
    with pytest.raises(EndpointConnectionError, match=client.endpoint):
        client.bucket_exists("bucket")
