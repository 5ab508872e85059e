"""Stores on files, in the test process."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import override_settings

from post3.access.callers import project_caller
from post3.services import buckets

from ..conftest import empty
from .store import Store


@pytest.fixture
def tree(catalogue: Any, tmp_path: Path) -> Iterator[Store]:
    """Yield a bucket on files, stored with its description."""
    storage = {"BACKEND": "post3.storage.filesystem.FilesystemStorage", "OPTIONS": {"location": str(tmp_path)}}
    with override_settings(POST3_STORAGES={"STANDARD": storage}, POST3_GARBAGE_GRACE_SECONDS=0, POST3_MIN_PART_SIZE=1):
        owner = get_user_model().objects.create_user("owner")
        buckets.create_bucket("bucket", project_caller(owner.pk), None)
        yield Store(owner.pk, tmp_path)


@pytest.fixture
def store(tree: Store) -> Store:
    """Return that bucket with an object `k` of one byte. Test modules for all storages define their own `store`."""
    tree.put("k", 1)
    return tree


@pytest.fixture
def lose(catalogue: Any) -> Callable[[], None]:
    """Return a function that empties the catalogue."""
    return lambda: empty(catalogue)
