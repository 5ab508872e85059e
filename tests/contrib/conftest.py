"""A model with a file, and a Post3Storage on each kind of storage."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, models
from django.test import override_settings

from post3.contrib.storage import Post3Storage
from post3.models import Blob, Block, Object


class Document(models.Model):
    """A model of a project. The fixture `documents` creates its table."""

    title = models.CharField(max_length=20)
    file = models.FileField(storage=Post3Storage(bucket="media"))

    class Meta:
        app_label = "tests"


@pytest.fixture(params=["files", "blocks"])
def storage(request: pytest.FixtureRequest, catalogue: Any, tmp_path: Path) -> Iterator[Post3Storage]:
    backends = {
        "files": {"BACKEND": "post3.storage.filesystem.FilesystemStorage", "OPTIONS": {"location": str(tmp_path)}},
        "blocks": {"BACKEND": "post3.storage.database.DatabaseStorage"},
    }
    with override_settings(POST3_STORAGES={"STANDARD": backends[request.param]}):
        get_user_model().objects.create_user("owner")
        yield Post3Storage(bucket="media", create_bucket=True, owner="owner", public_origin="http://127.0.0.1:1/s3")


@pytest.fixture
def documents(storage: Post3Storage) -> Iterator[type[Document]]:
    with connection.schema_editor() as editor:
        editor.create_model(Document)
    storage.save("first", _nothing())
    storage.delete("first")  # creates the bucket outside of any test's transaction
    yield Document
    if connection.in_atomic_block:
        connection.close()
    with connection.schema_editor() as editor:
        editor.delete_model(Document)


def _nothing() -> Any:
    from django.core.files.base import ContentFile

    return ContentFile(b"")


@pytest.fixture
def left(storage: Post3Storage, tmp_path: Path) -> Callable[[], dict[str, int]]:
    """Return a function that counts stored objects, blobs, blocks, files of bytes and descriptions."""

    def count() -> dict[str, int]:
        files = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "bucket.json"]
        descriptions = [path for path in files if path.suffix == ".json"]
        return {
            "objects": Object.objects.count(),
            "blobs": Blob.objects.count(),
            "blocks": Block.objects.count(),
            "files": len(files) - len(descriptions),
            "descriptions": len(descriptions),
        }

    return count
