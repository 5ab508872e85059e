"""Helpers for tests of versions. Versioning cannot be set over HTTP yet, so they change the bucket's row."""

from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest

from ..helpers import query
from ..servers import Server
from .multipart import begin, send

Call = Callable[[], dict[str, Any]]
VERSION = "x-amz-version-id"
WRITES = (
    "PutObject",
    "PutObject with metadata",
    "PutObject under a condition",
    "PutObject of 2 MiB",
    "CopyObject",
    "CompleteMultipartUpload",
)


@pytest.fixture
def bucket(server: Server) -> Iterator[str]:
    """A bucket that may contain versions, which no request can delete yet."""
    s3, name = server.client(), f"versions-{uuid4().hex[:16]}"
    s3.create_bucket(Bucket=name)
    yield name
    query(server, "DELETE FROM post3_object WHERE bucket_id = (SELECT id FROM post3_bucket WHERE name = ?) RETURNING id", (name,))
    s3.delete_bucket(Bucket=name)


def switch(server: Server, bucket: str, versioning: str) -> None:
    query(server, "UPDATE post3_bucket SET versioning = ? WHERE name = ? RETURNING id", (versioning, bucket))


def versions(server: Server, bucket: str, key: str) -> list[tuple[str, bool, bool, int]]:
    """Return (version id, is latest, is delete marker, size) for each version of a key, oldest first."""
    found = query(
        server,
        "SELECT o.version_id, o.is_latest, o.is_delete_marker, o.size FROM post3_object o "
        "JOIN post3_bucket b ON b.id = o.bucket_id WHERE b.name = ? AND o.key = ? ORDER BY o.sequence",
        (bucket, key),
    )
    return [(version_id, bool(is_latest), bool(is_marker), size) for version_id, is_latest, is_marker, size in found]


def header(answer: dict[str, Any], name: str = VERSION) -> str | None:
    return answer["ResponseMetadata"]["HTTPHeaders"].get(name)


@pytest.fixture
def writes(s3: Any, bucket: str) -> dict[str, Call]:
    """Create the key `k`. Return all ways to overwrite it, by name. All write two bytes, except the one of 2 MiB."""
    at = {"Bucket": bucket, "Key": "k"}
    s3.put_object(**at, Body=b"1")
    s3.put_object(Bucket=bucket, Key="source", Body=b"22")
    upload_id = begin(s3, bucket, "k")
    parts = send(s3, bucket, "k", upload_id, {1: b"22"})
    complete = {**at, "UploadId": upload_id, "MultipartUpload": {"Parts": parts}}
    etag = s3.head_object(**at)["ETag"]
    return {
        "PutObject": lambda: s3.put_object(**at, Body=b"22"),
        "PutObject with metadata": lambda: s3.put_object(**at, Body=b"22", Metadata={"a": "b"}),
        "PutObject under a condition": lambda: s3.put_object(**at, Body=b"22", IfMatch=etag),
        "PutObject of 2 MiB": lambda: s3.put_object(**at, Body=bytes(2 << 20)),
        "CopyObject": lambda: s3.copy_object(**at, CopySource={"Bucket": bucket, "Key": "source"}),
        "CompleteMultipartUpload": lambda: s3.complete_multipart_upload(**complete),
    }
