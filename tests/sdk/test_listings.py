"""Listings of any length, and deletion by prefix."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from post3.sdk import Client, Folder, ObjectEntry

from ..helpers import etag_of

MANY = 1001


def names(found: list[ObjectEntry | Folder]) -> list[str]:
    return [entry.prefix if isinstance(entry, Folder) else entry.key for entry in found]


def test_more_than_a_page_is_listed_and_deleted(client: Client, bucket: str) -> None:
    keys = [f"many/{number:05}/a" for number in range(MANY)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: client.put_bytes(bucket, key, b"x"), ["many", *keys, "other"]))
    assert [entry.key for entry in client.list_objects(bucket, "many/")] == keys
    assert [entry.key for entry in client.list_objects(bucket, "many/", start_after=keys[-3])] == keys[-2:]
    assert list(client.list_prefixes(bucket, "many/")) == [key[:-1] for key in keys]
    with pytest.raises(ValueError, match="empty_bucket"):
        client.delete_prefix(bucket, "")
    assert client.delete_prefix(bucket, "many/") == MANY
    assert [entry.key for entry in client.list_objects(bucket)] == ["many", "other"]
    assert client.delete_prefix(bucket, "many/") == 0


def test_an_entry_has_all_known_fields(client: Client, bucket: str) -> None:
    client.put_bytes(bucket, "a", b"body")
    [entry] = client.list_objects(bucket)
    assert (entry.key, entry.size, f'"{entry.etag}"', entry.storage_class) == ("a", 4, etag_of(b"body"), "STANDARD")
    assert entry.last_modified == client.head(bucket, "a").last_modified


def test_folders(client: Client, bucket: str) -> None:
    for key in ("2025/a", "2025/b", "2026-notes", "2026/a/b", "2026/c", "readme"):
        client.put_bytes(bucket, key, b"")
    assert names(list(client.list_folder(bucket))) == ["2025/", "2026-notes", "2026/", "readme"]
    assert names(list(client.list_folder(bucket, "2026/"))) == ["2026/a/", "2026/c"]
    assert names(list(client.list_folder(bucket, delimiter="-", start_after="2026"))) == ["2026-", "2026/a/b", "2026/c", "readme"]
    assert list(client.list_prefixes(bucket)) == ["2025/", "2026/"]
    assert list(client.list_prefixes(bucket, "nothing/")) == []
