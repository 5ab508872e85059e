"""Heads, copies, metadata, presigned URLs, and difficult keys."""

import os
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.message import Message

import pytest

from post3.sdk import Client, DeleteFailed, NotFound

from ..helpers import etag_of
from ..servers import Server
from .conftest import MIB, client_of
from .test_transfers import Told

#: The last key contains a character that XML 1.0 does not allow.
ODD_KEYS = """a//b|/lead|..|a/../b|.|sp ace+plus%2F|ü/日本語/𝄞|tail/|q?x=1&y#z|a\\b|"<&>'|~|new\nline\r|tab\t|\x01""".split("|")


def fetch(url: str, method: str = "GET", body: bytes | None = None, **headers: str) -> tuple[int, bytes, Message]:
    """Fetch a URL without any credentials."""
    request = urllib.request.Request(url, data=body, method=method, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.read(), response.headers
    except urllib.error.HTTPError as error:
        return error.code, error.read(), error.headers


def test_head_has_all_known_fields(client: Client, bucket: str) -> None:
    client.put_bytes(bucket, "a.txt", b"body", metadata={"color": "blue"})
    info = client.head(bucket, "a.txt")
    assert (info.key, info.size, f'"{info.etag}"', info.content_type) == ("a.txt", 4, etag_of(b"body"), "text/plain")
    assert (info.metadata, info.storage_class, info.version_id) == ({"color": "blue"}, "STANDARD", "")
    assert abs(datetime.now(UTC) - info.last_modified) < timedelta(minutes=10)
    with pytest.raises(NotFound) as caught:
        client.head(bucket, "missing")
    assert caught.value.status == 404


def test_exists(client: Client, bucket: str) -> None:
    client.put_bytes(bucket, "a", b"")
    assert client.exists(bucket, "a")
    assert not client.exists(bucket, "b")
    assert not client.exists("no-such-bucket-here", "a")


def test_odd_keys(client: Client, bucket: str) -> None:
    for key in ODD_KEYS:
        client.put_bytes(bucket, key, key.encode())
    assert [entry.key for entry in client.list_objects(bucket)] == sorted(ODD_KEYS, key=str.encode)
    for key in ODD_KEYS:
        assert client.get_bytes(bucket, key) == key.encode()
        client.copy(bucket, key, bucket, "copy")
        assert client.get_bytes(bucket, "copy") == key.encode()
    assert client.delete_many(bucket, [*ODD_KEYS, "copy"]) == len(ODD_KEYS) + 1
    assert list(client.list_objects(bucket)) == []


def test_a_key_that_cannot_be_deleted_stops_nothing(client: Client, bucket: str) -> None:
    for key in ("a", "b"):
        client.put_bytes(bucket, key, b"")
    with pytest.raises(DeleteFailed, match=r"1 objects were not deleted; the first is 'no\\x00key': InvalidURI") as caught:
        client.delete_many(bucket, ["a", "no\0key", "b"])
    assert ([error.key for error in caught.value.errors], caught.value.deleted) == (["no\0key"], 2)
    assert list(client.list_objects(bucket)) == []


def test_errors_before_the_end_are_not_forgotten(client: Client, bucket: str) -> None:
    def keys() -> Iterator[str]:
        yield from ["a"] * 999 + ["no\0key"]
        raise RuntimeError("no more keys")

    with pytest.raises(RuntimeError) as caught:
        client.delete_many(bucket, keys())
    assert "1 objects were not deleted" in caught.value.__notes__[0]
    with pytest.raises(NotFound):
        client.delete_many("no-such-bucket-here", ["\1"])


@pytest.mark.parametrize("size", [10, 12 * MIB], ids=["in one request", "in parts"])
def test_copies_keep_what_was_stored(client: Client, bucket: str, size: int) -> None:
    body, told = os.urandom(size), Told()
    client.put_bytes(bucket, "a.txt", body, metadata={"color": "blue"}, cache_control="no-store")
    client.copy(bucket, "a.txt", bucket, "b/ü?", progress=told)
    info = client.head(bucket, "b/ü?")
    assert (info.content_type, info.metadata, info.cache_control) == ("text/plain", {"color": "blue"}, "no-store")
    assert client.get_bytes(bucket, "b/ü?") == body
    assert told.adds_up(size)
    assert info.etag.endswith("-3") == (size > MIB)

    client.copy(bucket, "a.txt", bucket, "c", metadata={"color": "red"})
    info = client.head(bucket, "c")
    assert (info.content_type, info.metadata, info.cache_control) == ("text/plain", {"color": "red"}, "no-store")
    with pytest.raises(NotFound):
        client.copy(bucket, "missing", bucket, "d")


def test_set_metadata_leaves_the_rest(client: Client, bucket: str) -> None:
    client.put_bytes(bucket, "a.txt", b"body", metadata={"color": "blue"}, cache_control="no-store")
    client.set_metadata(bucket, "a.txt", {"size": "xl"})
    client.set_metadata(bucket, "a.txt", content_type="text/markdown")
    info = client.head(bucket, "a.txt")
    assert (info.content_type, info.metadata, info.cache_control) == ("text/markdown", {"size": "xl"}, "no-store")
    client.set_metadata(bucket, "a.txt", {})
    assert (client.head(bucket, "a.txt").metadata, client.get_bytes(bucket, "a.txt")) == ({}, b"body")
    with pytest.raises(ValueError, match="Nothing to set"):
        client.set_metadata(bucket, "a.txt")
    with pytest.raises(NotFound):
        client.set_metadata(bucket, "missing", {})


def test_presigned_get(client: Client, bucket: str) -> None:
    client.put_bytes(bucket, "a b/ü+%2F", b"body")
    status, body, headers = fetch(client.presign_get(bucket, "a b/ü+%2F", expires=60, download_as='"ü; x.txt'))
    assert (status, body) == (200, b"body")
    assert headers["Content-Disposition"] == "attachment; filename*=UTF-8''%22%C3%BC%3B%20x.txt"
    assert fetch(client.presign_get(bucket, "missing"))[0] == 404
    with pytest.raises(ValueError, match="a week"):
        client.presign_get(bucket, "a", expires=604_801)


def test_presigned_put(client: Client, bucket: str) -> None:
    assert fetch(client.presign_put(bucket, "a"), "PUT", b"body")[0] == 200
    url = client.presign_put(bucket, "b", content_type="image/png")
    assert fetch(url, "PUT", b"body", **{"Content-Type": "text/plain"})[0] == 403
    assert fetch(url, "PUT", b"body", **{"Content-Type": "image/png"})[0] == 200
    assert (client.get_bytes(bucket, "a"), client.head(bucket, "b").content_type) == (b"body", "image/png")


def test_boto3_client_is_available(client: Client, server: Server, bucket: str) -> None:
    answer = client.s3.list_objects_v2(Bucket=bucket, MaxKeys=1)
    assert answer["KeyCount"] == 0
    with client_of(server) as other:
        assert other.s3.get_bucket_location(Bucket=bucket)["LocationConstraint"] is None
