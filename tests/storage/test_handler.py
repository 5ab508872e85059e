"""The configured storages."""

from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from post3.storage import UnknownStorageClass, storages
from post3.storage.database.blocks import DatabaseStorage
from post3.storage.filesystem.storage import FilesystemStorage

from .suite import in_threads


def configured(**classes: Any) -> override_settings:
    return override_settings(POST3_STORAGES=classes)


def test_storages_are_built_from_the_settings_once(tmp_path: Path) -> None:
    with configured(
        STANDARD={"BACKEND": "post3.storage.database.DatabaseStorage", "OPTIONS": {"block_size": 4096}},
        GLACIER={"BACKEND": "post3.storage.filesystem.FilesystemStorage", "OPTIONS": {"location": tmp_path}},
    ):
        standard, glacier = storages["STANDARD"], storages["GLACIER"]
        assert isinstance(standard, DatabaseStorage) and standard.block_size == 4096
        assert isinstance(glacier, FilesystemStorage) and glacier.storage_class == "GLACIER"
        assert all(storage is standard for storage in in_threads(8, lambda number: storages["STANDARD"]))
        assert list(storages.classes()) == ["STANDARD", "GLACIER"]
        assert "GLACIER" in storages and "glacier" not in storages
        with configured(STANDARD={"BACKEND": "post3.storage.database.DatabaseStorage"}):
            assert storages["STANDARD"].block_size == 1 << 20
    with configured(STANDARD={"BACKEND": "post3.storage.database.DatabaseStorage"}):
        before = storages["STANDARD"]
        storages.reset()
        assert storages["STANDARD"] is not before


def test_unknown_storage_class() -> None:
    with configured(STANDARD={"BACKEND": "post3.storage.database.DatabaseStorage"}), pytest.raises(UnknownStorageClass):
        storages["GLACIER"]


@pytest.mark.parametrize("parameters", [{}, {"BACKEND": "post3.storage.nowhere.Storage"}, {"BACKEND": "nonsense"}])
def test_wrong_configuration(parameters: dict[str, Any]) -> None:
    with configured(STANDARD=parameters), pytest.raises(ImproperlyConfigured):
        storages["STANDARD"]
