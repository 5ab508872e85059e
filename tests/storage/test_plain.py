"""A storage of five verbs alone. `tests/site/test_plain_storage.py` has what a server does with it."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from post3.checks import check_storages
from post3.storage import BlobMissing, BlobRef, CatalogueResident, Describing, RangePieces, Storage
from post3.storage.base import PIECE

from .plain import PlainStorage
from .suite import StorageSuite

VERBS = ("save", "open", "copy", "delete", "walk")


class TestPlainStorage(StorageSuite):
    block, measures_parts = PIECE, False

    @pytest.fixture
    def storage(self, tmp_path: Path) -> Iterator[Storage]:
        yield PlainStorage("STANDARD", location=tmp_path / "plain")

    def leftovers(self, storage: Storage) -> list[Any]:
        return os.listdir(storage.directory)

    def damage(self, storage: Storage, ref: BlobRef) -> None:
        os.truncate(storage.path(ref), ref.size - 1)

    def test_it_implements_the_five_verbs_alone(self, storage: Storage) -> None:
        own = {name for name in vars(PlainStorage) if not name.startswith("_")}
        assert own == {*VERBS, "path"}
        assert not isinstance(storage, Describing | CatalogueResident)


@pytest.mark.parametrize("verb", VERBS)
def test_check_of_a_storage_without_a_verb(verb: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    storage = {"BACKEND": "tests.storage.plain.PlainStorage", "OPTIONS": {"location": str(tmp_path)}}
    with override_settings(POST3_STORAGES={"STANDARD": storage}):
        assert check_storages() == []
        monkeypatch.delattr(PlainStorage, verb)
        (error,) = check_storages()
    assert (error.id, error.msg) == ("post3.E022", f"The BACKEND of POST3_STORAGES['STANDARD'] does not implement {verb}.")


def test_pieces_of_a_storage_that_returns_too_little() -> None:
    pieces = RangePieces(lambda position, size: bytes(min(size, 10)), 5, 100)
    with pytest.raises(BlobMissing, match="ended after 15 of 105 bytes"):
        next(pieces)
