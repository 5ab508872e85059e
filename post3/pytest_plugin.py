"""pytest fixtures for the tests of other projects: a real S3 server and boto3 clients for it.

    def test_upload(post3_client, post3_bucket):
        post3_client.put_object(Bucket=post3_bucket, Key="a", Body=b"bytes")

pytest discovers this module automatically if post3 is installed. The module does not import Django, and imports boto3
only when a fixture needs it. The server runs in a separate process, so the settings of the project under test are not
affected.
"""

import json
import os
import select
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

#: Seconds that a server may take to start, even on a slow machine, and to stop.
START_TIMEOUT, STOP_TIMEOUT = 60, 10


@dataclass(frozen=True, slots=True)
class Post3Server:
    """A running server, initially empty, and credentials with full access to it."""

    #: For example `http://127.0.0.1:41234`.
    endpoint: str
    access_key: str
    secret_key: str
    region: str
    #: Contains the server's log (`server.log`) and data. Removed when the session ends.
    directory: Path

    def environment(self) -> dict[str, str]:
        """Return environment variables that make AWS tools and SDKs use this server.

        Pass them to a subprocess or to `monkeypatch.setenv`.
        """
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": self.region,
        }

    def client(self, **config: Any) -> Any:
        """Return a new boto3 client. Keywords are passed to botocore's Config. Fails the test if boto3 is missing."""
        try:
            import boto3
            from botocore.config import Config
        except ImportError:
            pytest.fail("post3's client needs boto3: pip install 'post3[test]'", pytrace=False)
        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=self.region,
            config=Config(**{"signature_version": "s3v4", "s3": {"addressing_style": "path"}, **config}),
        )

    def create_bucket(self, name: str = "") -> str:
        """Create a bucket, with a unique name unless one is given, and return its name."""
        name = name or f"test-{uuid.uuid4().hex}"
        self.client().create_bucket(Bucket=name)
        return name

    def delete_bucket(self, name: str) -> None:
        """Delete a bucket and all of its contents."""
        delete_bucket(self.client(), name)


@pytest.fixture(scope="session")
def post3_server() -> Iterator[Post3Server]:
    """Return a server on a free port. All tests of the session share it; its data is removed when the session ends."""
    with tempfile.TemporaryDirectory(prefix="post3-server-") as directory:
        process = start(Path(directory))
        try:
            yield read_server(process, Path(directory))
        finally:
            stop(process)


@pytest.fixture
def post3_client(post3_server: Post3Server) -> Iterator[Any]:
    """Return a boto3 client. Buckets created during the test, by any client, are deleted with their contents."""
    client = post3_server.client()
    before = bucket_names(client)
    yield client
    for name in bucket_names(client) - before:
        delete_bucket(client, name)


@pytest.fixture
def post3_bucket(post3_server: Post3Server, post3_client: Any) -> str:
    """Return the name of a new bucket, which is deleted with its contents after the test."""
    return post3_server.create_bucket()


def bucket_names(client: Any) -> set[str]:
    return {bucket["Name"] for bucket in client.list_buckets()["Buckets"]}


def delete_bucket(client: Any, name: str) -> None:
    """Delete a bucket and all of its contents."""
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=name):
        if keys := [{"Key": entry["Key"]} for entry in page.get("Contents", [])]:
            client.delete_objects(Bucket=name, Delete={"Objects": keys, "Quiet": True})
    client.delete_bucket(Bucket=name)


def start(directory: Path) -> "subprocess.Popen[bytes]":
    """Start a server that keeps its data and its log in this directory."""
    # Blocks are stored in SQLite without syncing, because test data need not survive a power failure.
    pragmas = quote("PRAGMA journal_mode=WAL; PRAGMA synchronous=OFF")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("POST3_")}
    packages = str(Path(__file__).resolve().parent.parent)
    environment = {
        **inherited,
        "PYTHONPATH": os.pathsep.join(filter(None, [packages, os.environ.get("PYTHONPATH")])),
        "DJANGO_SETTINGS_MODULE": "post3_site.settings",
        "DATABASE_URL": f"sqlite:///{quote(str(directory))}/catalogue.sqlite3?init_command={pragmas}",
        "POST3_STORAGE": "database",
        "POST3_DATA_DIR": str(directory),
        "POST3_SECRET_KEY": uuid.uuid4().hex * 2,
    }
    with open(directory / "server.log", "wb") as log:
        # A separate session, so that Ctrl-C stops the tests first. The server stops when its standard input is closed,
        # which happens however this process ends.
        return subprocess.Popen(
            [sys.executable, "-m", "post3_site", "serve_for_tests"],
            cwd=directory,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )


def read_server(process: "subprocess.Popen[bytes]", directory: Path) -> Post3Server:
    """Wait until the server prints its endpoint and credentials. Fails the test if the server does not start."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], START_TIMEOUT)
    line = process.stdout.readline() if ready else b""
    if not line:
        log = (directory / "server.log").read_text(errors="replace")
        pytest.fail(f"The post3 server did not start:\n{log[-5000:]}", pytrace=False)
    return Post3Server(**json.loads(line), directory=directory)


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Stop the server, and kill it if it does not stop in time."""
    assert process.stdin is not None and process.stdout is not None
    process.stdin.close()
    try:
        process.wait(STOP_TIMEOUT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
