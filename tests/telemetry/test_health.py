"""Readiness: failures are named by their kind only."""

from typing import Any

import pytest
from django.db import OperationalError
from django.test import override_settings

from post3.storage.base import StorageError
from post3.telemetry import readiness

DATABASE_STORAGE = {"BACKEND": "post3.storage.database.DatabaseStorage"}


@override_settings(POST3_STORAGES={"STANDARD": DATABASE_STORAGE, "COLD": DATABASE_STORAGE})
def test_all_is_well(catalogue: Any) -> None:
    assert readiness.check_readiness() == {"database": "ok", "storage STANDARD": "ok", "storage COLD": "ok"}


@override_settings(POST3_STORAGES={"STANDARD": DATABASE_STORAGE, "COLD": {"BACKEND": "no.such.Storage"}})
def test_storage_that_cannot_be_created_is_named(catalogue: Any) -> None:
    report = readiness.check_readiness()
    assert report["database"] == report["storage STANDARD"] == "ok"
    assert report["storage COLD"].startswith("failed: ImproperlyConfigured")


@override_settings(POST3_STORAGES={"STANDARD": DATABASE_STORAGE})
def test_reasons_appear_only_in_the_log(
    catalogue: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail_to_connect() -> None:
        raise OperationalError('password authentication failed for user "secret-user" at secret-host')

    def fail(self: Any) -> None:
        raise StorageError("/secret-path is full")

    monkeypatch.setattr(readiness, "_check_database", fail_to_connect)
    monkeypatch.setattr("post3.storage.database.DatabaseStorage.check", fail)
    report = readiness.check_readiness()
    assert report["database"].startswith("failed: OperationalError")
    assert report["storage STANDARD"].startswith("failed: StorageError")
    assert "secret" not in str(report)
    assert "secret-host" in caplog.text and "secret-path" in caplog.text
