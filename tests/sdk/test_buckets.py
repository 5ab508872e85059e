"""Buckets through the SDK."""

import uuid
from typing import Any

import pytest

from post3.sdk import Client, Conflict, NotFound, Refused

from ..servers import Server
from .conftest import client_of


@pytest.fixture
def name() -> str:
    return f"sdk-{uuid.uuid4().hex[:16]}"


def test_a_bucket_is_created_listed_and_deleted(client: Client, name: str) -> None:
    assert not client.bucket_exists(name)
    client.create_bucket(name)
    assert client.bucket_exists(name)
    found = [entry for entry in client.list_buckets() if entry.name == name]
    assert [entry.created.tzinfo is not None for entry in found] == [True]
    assert [entry.name for entry in client.list_buckets(prefix=name[:-1])] == [name]
    client.delete_bucket(name)
    assert not client.bucket_exists(name)


def test_a_bucket_in_another_region_exists_once(server: Server, s3: Any, name: str) -> None:
    client = client_of(server, region="eu-central-1")
    client.create_bucket(name)
    assert s3.get_bucket_location(Bucket=name)["LocationConstraint"] == "eu-central-1"
    with pytest.raises(Conflict) as caught:
        client.create_bucket(name)
    assert caught.value.code == "BucketAlreadyOwnedByYou"
    client.create_bucket(name, exist_ok=True)
    client.delete_bucket(name)


def test_a_bucket_of_another_user_is_a_conflict(server: Server, bucket: str) -> None:
    access_key, secret_key = server.create_api_key("somebody-else")
    with pytest.raises(Conflict) as caught:
        client_of(server, access_key=access_key, secret_key=secret_key).create_bucket(bucket, exist_ok=True)
    assert caught.value.code == "BucketAlreadyExists"


def test_a_full_bucket_is_deleted_only_with_its_objects(client: Client, s3: Any, name: str) -> None:
    client.create_bucket(name)
    client.put_bytes(name, "a", b"a")
    s3.create_multipart_upload(Bucket=name, Key="b")
    with pytest.raises(Conflict) as caught:
        client.delete_bucket(name)
    assert caught.value.code == "BucketNotEmpty"
    assert client.empty_bucket(name) == 1
    assert not s3.list_multipart_uploads(Bucket=name).get("Uploads")
    client.put_bytes(name, "a", b"a")
    client.delete_bucket(name, with_objects=True)
    assert not client.bucket_exists(name)


def test_missing_and_invalid_buckets(client: Client, name: str) -> None:
    with pytest.raises(NotFound):
        client.delete_bucket(name)
    with pytest.raises(NotFound):
        list(client.list_objects(name))
    with pytest.raises(Refused) as caught:
        client.create_bucket("Not-A-Name")
    assert caught.value.code == "InvalidBucketName"
