"""The services on one bucket, called in process, and the fixtures that create such stores."""

import io
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import md5
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import override_settings

from post3.access.callers import project_caller
from post3.access.permissions import Grant, grant_one
from post3.models import Block
from post3.services import buckets, copies, deletions, multipart, objects
from post3.values import CompletedPart, Completion, Conditions, Description

from .conftest import empty

ALWAYS = Conditions()
#: A storage with blobs and blocks for small bodies too, which otherwise are in the rows of their objects.
BLOCKS = {"BACKEND": "post3.storage.database.DatabaseStorage", "OPTIONS": {"row_size": 0}}
PLAIN = Description("STANDARD", {"content_type": "binary/octet-stream", "metadata": {}})


class Body:
    """A verified body, as passed to a service."""

    def __init__(self, data: bytes) -> None:
        self.length, self.md5 = len(data), md5(data, usedforsecurity=False).hexdigest()
        self.checksum_algorithm, self.checksum = "CRC32", f"{zlib.crc32(data):08x}"
        self._stream = io.BytesIO(data)

    def read(self, size: int = -1, /) -> bytes:
        return self._stream.read(size)


def granted(bucket: str, user_id: int) -> Grant:
    """Return a grant on a bucket for a user."""
    return grant_one(project_caller(user_id), "s3:*", bucket)


@dataclass
class Store:
    """The services on one bucket, with access to the storage below them."""

    owner: int
    directory: Path

    @property
    def grant(self) -> Grant:
        """Return a grant on the bucket for its owner."""
        return granted("bucket", self.owner)

    def put(self, key: str, size: int, fill: bytes = b"x") -> bytes:
        data = fill * size
        objects.put_object(self.grant, key, PLAIN, Body(data), ALWAYS)
        return data

    def read(self, key: str) -> bytes:
        body = objects.open_object(self.grant, key, ALWAYS).body
        return body if isinstance(body, bytes) else b"".join(body)

    def delete(self, key: str) -> None:
        deletions.delete_object(self.grant, key, ALWAYS)

    def copy(self, source: str, target: str, storage_class: str | None = None) -> None:
        copies.copy_object(self.grant, source, ALWAYS, self.grant, target, None, storage_class, ALWAYS)

    def begin(self, key: str) -> Any:
        return multipart.create_multipart_upload(self.grant, key, PLAIN, "", "")

    def part(self, upload: Any, number: int, data: bytes) -> CompletedPart:
        part = multipart.upload_part(self.grant, upload, number, Body(data))
        return CompletedPart(number, part.etag, {})

    def complete(self, upload: Any, *parts: CompletedPart) -> None:
        multipart.complete_multipart_upload(self.grant, upload.key, upload.upload_id, Completion(parts, {}, None), ALWAYS)

    def bytes_left(self) -> int:
        """Return the number of blob bytes in the storage."""
        files = [path for path in self.directory.rglob("*") if path.is_file() and path.suffix != ".json"]
        return sum(path.stat().st_size for path in files) + sum(
            len(data) for data in Block.objects.values_list("data", flat=True)
        )


def files_in(directory: Path) -> dict[str, Any]:
    """Return the configuration of a storage of files."""
    return {"BACKEND": "post3.storage.filesystem.FilesystemStorage", "OPTIONS": {"location": str(directory)}}


@contextmanager
def store_on(directory: Path, **storages: dict[str, Any]) -> Iterator[Store]:
    """Yield a store on these storages by class, with an empty bucket, no grace period and no minimum part size."""
    with override_settings(POST3_STORAGES=storages, POST3_GARBAGE_GRACE_SECONDS=0, POST3_MIN_PART_SIZE=1):
        owner = get_user_model().objects.create_user("owner")
        buckets.create_bucket("bucket", project_caller(owner.pk), None)
        yield Store(owner.pk, directory)


@pytest.fixture
def tree(catalogue: Any, tmp_path: Path) -> Iterator[Store]:
    """Yield a store on files with an empty bucket, which has a description."""
    with store_on(tmp_path, STANDARD=files_in(tmp_path)) as store:
        yield store


@pytest.fixture
def store(tree: Store) -> Store:
    """Return `tree` with an object `k` of one byte. Test modules for all storages define their own `store`."""
    tree.put("k", 1)
    return tree


@pytest.fixture
def lose(catalogue: Any) -> Callable[[], None]:
    """Return a function that empties the catalogue."""
    return lambda: empty(catalogue)
