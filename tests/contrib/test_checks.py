"""Wrong options of a Post3Storage are reported by system checks, not by a traceback."""

from typing import Any

import pytest
from django.apps import apps
from django.core.checks import run_checks
from django.test import override_settings

from post3.contrib.checks import check_buckets, check_file_storages
from post3.contrib.storage import Post3Storage

from .conftest import Document

GOOD = {"bucket": "media", "public_origin": "https://example.com/s3"}


def ids(**options: Any) -> list[str]:
    entry = {"BACKEND": "post3.contrib.storage.Post3Storage", "OPTIONS": {**GOOD, **options}}
    with override_settings(STORAGES={"default": entry, "other": {"BACKEND": "nowhere.Storage"}}):
        return [message.id for message in check_file_storages() if "STORAGES" in message.msg]


def test_good_options() -> None:
    assert ids() == ids(location="a/b/", expires=604800, allow_overwrite=True, owner="me") == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"nonsense": 1}, "post3.E061"),
        ({"bucket": ""}, "post3.E062"),
        ({"bucket": "No_Bucket"}, "post3.E062"),
        ({"location": "a/../b"}, "post3.E063"),
        ({"location": None}, "post3.E063"),
        ({"expires": 604801}, "post3.E064"),
        ({"expires": "60"}, "post3.E064"),
        ({"create_bucket": "yes"}, "post3.E065"),
        ({"owner": None}, "post3.E065"),
        ({"storage_class": "GLACIER"}, "post3.E066"),
        ({"public_origin": "example.com"}, "post3.E067"),
        ({"public_origin": "https://user@example.com"}, "post3.E067"),
        ({"public_origin": ""}, "post3.W060"),
    ],
)
def test_wrong_options(options: dict[str, Any], expected: str) -> None:
    assert ids(**options) == [expected]


def test_a_wrong_public_origin_is_reported_once_and_a_correct_one_works() -> None:
    with override_settings(POST3_PUBLIC_ORIGIN="nowhere"):
        assert "post3.E060" in [message.id for message in run_checks()]
    with override_settings(POST3_PUBLIC_ORIGIN="https://example.com"):
        assert ids(public_origin="") == []


def test_storages_of_fields_are_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Document._meta.get_field("file").storage, "location", "..")
    monkeypatch.setattr(apps, "get_models", lambda: [Document])  # it belongs to no installed app
    assert [message.id for message in check_file_storages() if "tests.Document.file" in message.msg][:1] == ["post3.E063"]


def test_a_missing_bucket_is_a_warning_of_the_database_check(storage: Post3Storage) -> None:
    entry = {"BACKEND": "post3.contrib.storage.Post3Storage", "OPTIONS": {**GOOD, "bucket": "missing"}}
    with override_settings(STORAGES={"default": entry}):
        assert "post3.W061" in [message.id for message in check_buckets(databases=["default"])]
        assert check_buckets(databases=None) == []
