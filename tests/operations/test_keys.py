"""Every key S3 allows can be put, listed, fetched, copied and deleted on each storage.

Nothing appears outside the storage's root. Requests are sent as raw bytes, because boto3 removes dot segments from
paths.
"""

import hashlib
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, unquote_plus
from xml.etree import ElementTree

import pytest

from ..helpers import NAMESPACE, files_of, keys_of, path_of, query, refusal_of, status_of, tree
from ..raw import RawClient
from ..servers import Server

KEYS = {
    "a": "a",
    "a slash": "a/",
    "a/b": "a/b",
    "two slashes": "a//b",
    "leading slash": "/a",
    "only slashes": "//",
    "dot": ".",
    "dot dot": "..",
    "dot slash": "./",
    "dot segment": "a/./b",
    "dot dot segment": "a/../b",
    "up and away": "../../../../../../tmp/post3-escaped",
    "absolute": "/etc/passwd",
    "encoded slash": "%2F",
    "encoded dots": "%2e%2e/a",
    "plus and space": "a+b c",
    "spaces": " a ",
    "ü": "ü",
    "ü decomposed": "u\u0308",
    "emoji": "😀/𝄞",
    "1024 bytes": "k" * 1024,
    "256 characters of 4 bytes": "😀" * 256,
    "1024 dots": "." * 1024,
    "1024 bytes of segments": "a/" * 512,
    "255 bytes": "n" * 255,
    "256 bytes": "n" * 256,
    "newline": "a\nb",
    "carriage return": "a\rb",
    "control": "\x01",
    "delete": "a\x7fb",
    "query": "a?b=c&d#e",
    "markup": "<a>&amp;\"'",
    "backslash": "a\\..\\b",
    "tilde": "~",
    "like our files": "a.0123456789abcdef0123456789abcdef.json",
    "like our leftovers": ".tmp/a",
    "wildcards": "*?[a]_%",
    "noncharacters": "\ufffe\uffff\U0010ffff",
}


@pytest.fixture
def emptied(raw: RawClient, bucket: str) -> Iterator[str]:
    """Yield a bucket whose objects are deleted one by one, because some of these keys cannot be written in XML."""
    yield bucket
    for key in listed(raw, bucket):
        assert raw.send("DELETE", path_of(bucket, key)).status == 204


def listed(raw: RawClient, bucket: str, prefix: str = "") -> list[str]:
    """Return the keys of a listing with encoding-type=url."""
    parameters = f"encoding-type=url&list-type=2&prefix={quote(prefix, safe='')}"
    response = raw.send("GET", f"/{bucket}", parameters)
    assert response.status == 200, response
    found = ElementTree.fromstring(response.body).iterfind(f"{NAMESPACE}Contents/{NAMESPACE}Key")
    return [unquote_plus(element.text or "") for element in found]


def surroundings(server: Server) -> set[str]:
    """Return everything around the objects' directory, except SQLite's own files."""
    found = tree(server.data_dir.parent, below=server.data_dir / "var" / "objects")
    return {name for name in found if "catalogue.sqlite3" not in name and not name.endswith("server.log")}


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_keys_are_put_listed_fetched_copied_and_deleted(raw: RawClient, emptied: str, server: Server, key: str) -> None:
    # B025
    bucket, path = emptied, path_of(emptied, key)
    before = surroundings(server)
    body = hashlib.sha256(key.encode()).digest() * 10
    for _ in range(2):
        assert raw.send("PUT", path, body=body).status == 200
    assert listed(raw, bucket) == [key]
    assert listed(raw, bucket, key) == [key]
    assert query(
        server, "SELECT o.key FROM post3_object o JOIN post3_bucket b ON b.id = o.bucket_id WHERE b.name = ?", [bucket]
    ) == [(key,)]
    got = raw.send("GET", path)
    assert (got.status, got.body) == (200, body)
    assert raw.send("HEAD", path).headers["content-length"] == str(len(body))

    copy = path_of(bucket, "copy")
    assert raw.send("PUT", copy, headers=[("x-amz-copy-source", path)]).status == 200
    assert raw.send("GET", copy).body == body
    assert raw.send("DELETE", path).status == 204
    missing = raw.send("GET", path)
    assert (missing.status, b"<Code>NoSuchKey</Code>" in missing.body) == (404, True)
    assert listed(raw, bucket) == ["copy"]
    assert raw.send("PUT", path, headers=[("x-amz-copy-source", f"{bucket}/copy")]).status == 200
    assert raw.send("GET", path).body == body
    assert sorted(listed(raw, bucket)) == sorted([key, "copy"])

    assert surroundings(server) == before
    for name in files_of(server):
        assert re.fullmatch(r"[a-z0-9.-]+/[0-9a-f]{2}/[A-Za-z0-9_~%-]*\.[0-9a-f]{32}(\.json)?", name), name


@pytest.mark.parametrize(
    "key", [key for key in KEYS.values() if len(key) < 300], ids=[name for name, key in KEYS.items() if len(key) < 300]
)
def test_keys_of_large_objects_and_of_parts(raw: RawClient, emptied: str, key: str) -> None:
    bucket, path, body = emptied, path_of(emptied, key), b"0123456789abcdef" * 80_000
    assert raw.send("PUT", path, body=body).status == 200
    assert raw.send("GET", path).body == body
    created = raw.send("POST", path, "uploads").body
    upload = re.search(b"<UploadId>([^<]+)</UploadId>", created)[1].decode()  # the document may not be parseable
    etag = raw.send("PUT", path, f"partNumber=1&uploadId={upload}", body=b"part").headers["etag"]
    document = f"<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>"
    document = f"<CompleteMultipartUpload>{document}</CompleteMultipartUpload>"
    assert raw.send("POST", path, f"uploadId={upload}", body=document.encode()).status == 200
    assert raw.send("GET", path).body == b"part"
    assert listed(raw, bucket) == [key]


def test_keys_side_by_side_keep_their_own_bytes(raw: RawClient, emptied: str) -> None:
    # B025
    for key in KEYS.values():
        assert raw.send("PUT", path_of(emptied, key), body=key.encode()).status == 200
    assert listed(raw, emptied) == sorted(KEYS.values(), key=str.encode)
    for key in KEYS.values():
        assert raw.send("GET", path_of(emptied, key)).body == key.encode()
    gone = list(KEYS.values())[::2]
    for key in gone:
        assert raw.send("DELETE", path_of(emptied, key)).status == 204
    for key in KEYS.values():
        response = raw.send("GET", path_of(emptied, key))
        assert (response.status == 404) if key in gone else (response.body == key.encode())


@pytest.mark.parametrize("key", ["k" * 1025, "ü" * 512 + "k", "😀" * 257, "a/" * 600])
def test_keys_over_1024_bytes_are_refused(s3: Any, raw: RawClient, bucket: str, key: str) -> None:
    size = str(len(key.encode()))
    path = path_of(bucket, key)
    for method, parameters, headers, body in (
        ("PUT", "", [], b"a"),
        ("PUT", "", [("x-amz-copy-source", f"/{bucket}/a")], b""),
        ("POST", "uploads", [], b""),
        ("GET", "", [], b""),
    ):
        refused = refusal_of(raw.send(method, path, parameters, headers=headers, body=body))
        assert (refused.status, refused.code, refused.message) == (400, "KeyTooLongError", "Your key is too long")
        assert refused.fields == {"Size": size, "MaxSizeAllowed": "1024"}
    assert keys_of(s3, bucket) == []


@pytest.mark.parametrize("key", [key for key in KEYS.values() if not re.search(r"(^|/)\.\.?(/|$)", key)])
def test_keys_with_boto3(s3: Any, raw: RawClient, emptied: str, key: str) -> None:
    s3.put_object(Bucket=emptied, Key=key, Body=b"by boto3")
    assert raw.send("GET", path_of(emptied, key)).body == b"by boto3"
    assert s3.get_object(Bucket=emptied, Key=key)["Body"].read() == b"by boto3"
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=emptied)["Contents"]] == [key]
    s3.copy_object(Bucket=emptied, Key="copy", CopySource={"Bucket": emptied, "Key": key})
    assert s3.get_object(Bucket=emptied, Key="copy")["Body"].read() == b"by boto3"
    assert status_of(s3.delete_object(Bucket=emptied, Key=key)) == 204
    assert listed(raw, emptied) == ["copy"]
