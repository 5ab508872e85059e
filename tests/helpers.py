"""What tests over HTTP share: refusals as plain values, paths as sent, a look into a server's catalogue and files."""

import hashlib
import os
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
    """An error answer. `fields`: the elements of the document beside Code, Message, RequestId and HostId."""

    status: int
    code: str
    message: str
    fields: dict[str, str]
    headers: dict[str, str]


def refusal(call: Callable[..., Any], **arguments: Any) -> Refusal:
    """Call boto3, which must be answered with an error."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    error, metadata = dict(caught.value.response["Error"]), caught.value.response["ResponseMetadata"]
    code, message = error.pop("Code"), error.pop("Message")
    return Refusal(metadata["HTTPStatusCode"], code, message, error, metadata["HTTPHeaders"])


def refusal_of(response: RawResponse | None) -> Refusal:
    """Read an error answer that came as bytes; its document must be as S3 writes it (B001, B002)."""
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
    """The HTTP headers of boto3's answer."""
    return answer["ResponseMetadata"]["HTTPHeaders"]


def status_of(answer: dict[str, Any]) -> int:
    """The HTTP status of boto3's answer."""
    return answer["ResponseMetadata"]["HTTPStatusCode"]


def path_of(bucket: str, key: str) -> str:
    """The path of an object, encoded as S3 signs it; nothing is normalised."""
    return f"/{bucket}/{quote(key, safe='/')}"


def etag_of(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


def read(s3: Any, bucket: str, key: str) -> bytes:
    """The bytes of an object."""
    return s3.get_object(Bucket=bucket, Key=key)["Body"].read()


def keys_of(s3: Any, bucket: str) -> list[str]:
    """The keys of a bucket, in order."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


def query(server: Server, statement: str, parameters: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
    """Ask a server's catalogue directly; placeholders are question marks."""
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
    """The files of objects and parts below the directory of the server's bytes, by their relative path.

    Not those that describe buckets, nor those that a test had set aside.
    """
    root = str(server.data_dir / "var" / "objects")
    files = {os.path.join(place, name)[len(root) + 1 :] for place, _, names in os.walk(root) for name in names}
    return {name for name in files if not name.startswith(".quarantine/") and name.count("/") != 1}


def tree(directory: Path, below: Path) -> set[str]:
    """Everything in a directory, but for what is below one of its own. Not by pathlib: there may be many thousand files."""
    root, left_out, found = str(directory), str(below), set[str]()
    for place, directories, names in os.walk(root):
        if place == left_out:
            directories.clear()
            continue
        found.update(os.path.join(place, name)[len(root) + 1 :] for name in (*directories, *names))
    return found
