"""Helpers for tests over HTTP: errors as plain values, paths as sent, access to a server's catalogue and files."""

import hashlib
import os
import random
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

import pytest
from botocore.exceptions import ClientError

from .raw import RawResponse
from .servers import Server

NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error response. `fields` are the document's elements except Code, Message, RequestId and HostId."""

    status: int
    code: str
    message: str
    fields: dict[str, str]
    headers: dict[str, str]


#: More bytes than the row of an object holds, so that they are a blob on every server.
BLOB = 10_000


def refusal(call: Callable[..., Any], **arguments: Any) -> Refusal:
    """Call boto3, which must raise an error response."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error, metadata = dict(caught.value.response["Error"]), caught.value.response["ResponseMetadata"]
    code, message = error.pop("Code"), error.pop("Message")
    return Refusal(metadata["HTTPStatusCode"], code, message, error, metadata["HTTPHeaders"])


def refusal_of(response: RawResponse | None) -> Refusal:
    """Parse an error response read as bytes. Its document must have S3's form (B001, B002)."""
    assert response is not None
    assert response.status >= 400, response
    assert response.headers["content-type"] == "application/xml"
    assert response.body.startswith(b'<?xml version="1.0" encoding="UTF-8"?>\n<Error>')
    root = ElementTree.fromstring(response.body)
    names = [child.tag for child in root]
    assert names[:2] == ["Code", "Message"] and names[-2:] == ["RequestId", "HostId"], names
    fields = {child.tag: child.text or "" for child in root}
    assert fields.pop("RequestId") == response.headers["x-amz-request-id"]
    assert fields.pop("HostId") == response.headers["x-amz-id-2"]
    return Refusal(response.status, fields.pop("Code"), fields.pop("Message"), fields, response.headers)


def headers_of(answer: dict[str, Any]) -> dict[str, str]:
    """Return the HTTP headers of a boto3 response."""
    return answer["ResponseMetadata"]["HTTPHeaders"]


def status_of(answer: dict[str, Any]) -> int:
    """Return the HTTP status of a boto3 response."""
    return answer["ResponseMetadata"]["HTTPStatusCode"]


def path_of(bucket: str, key: str) -> str:
    """Return the path of an object, encoded as S3 signs it, without any normalization."""
    return f"/{bucket}/{quote(key, safe='/')}"


def random_bytes(size: int) -> bytes:
    """Return the same bytes for a size each time. No piece repeats, so tests notice pieces that are swapped."""
    return random.Random(size).randbytes(size)


def etag_of(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


def read(s3: Any, bucket: str, key: str) -> bytes:
    """Return the bytes of an object."""
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read()


def keys_of(s3: Any, bucket: str) -> list[str]:
    """Return the keys of a bucket, in order."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


def query(server: Server, statement: str, parameters: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
    """Query a server's catalogue directly. Placeholders are question marks."""
    url = server.environment.get("DATABASE_URL")
    if not url:
        connection = sqlite3.connect(server.data_dir / "var" / "catalogue.sqlite3", timeout=30, isolation_level=None)
        try:
            return connection.execute(statement, tuple(parameters)).fetchall()
        finally:
            connection.close()
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(statement.replace("?", "%s"), tuple(parameters)).fetchall()


def files_of(server: Server) -> set[str]:
    """Return the relative paths of the files of objects and parts in the server's directory.

    Descriptions of buckets and quarantined files are left out.
    """
    root = str(server.data_dir / "var" / "objects")
    files = {os.path.join(place, name)[len(root) + 1 :] for place, _, names in os.walk(root) for name in names}
    return {name for name in files if not name.startswith(".quarantine/") and name.count("/") != 1}


def tree(directory: Path, below: Path) -> set[str]:
    """Return everything in a directory except the contents of `below`.

    os.walk is used instead of pathlib, because there may be many thousands of files.
    """
    root, left_out, found = str(directory), str(below), set[str]()
    for place, directories, names in os.walk(root):
        if place == left_out:
            directories.clear()
            continue
        found.update(os.path.join(place, name)[len(root) + 1 :] for name in (*directories, *names))
    return found
