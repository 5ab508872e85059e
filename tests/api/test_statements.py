"""A request whose bucket is in memory is one statement on PostgreSQL."""

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import override_settings
from django.test.utils import CaptureQueriesContext

from post3.access import keys
from post3.db.prepared import Statements

from ..access.test_permissions import ask
from ..raw import RawClient
from ..stores import Store

DATABASE = {"BACKEND": "post3.storage.database.DatabaseStorage"}


@pytest.mark.parametrize(
    ("method", "path", "query", "size"),
    [
        ("PUT", "/bucket/k", "", 4096),
        ("PUT", "/bucket/k", "", 100_000),
        ("GET", "/bucket/k", "", 0),
        ("HEAD", "/bucket/k", "", 0),
        ("GET", "/bucket", "list-type=2", 0),
        ("GET", "/bucket", "list-type=2&delimiter=%2F", 0),
        ("DELETE", "/bucket/k", "", 0),
    ],
)
def test_a_request_is_one_statement(
    postgresql: Any, store: Store, monkeypatch: pytest.MonkeyPatch, method: str, path: str, query: str, size: int
) -> None:
    key, secret = keys.create_api_key(get_user_model().objects.get(pk=store.owner))
    client = RawClient("localhost", 9000, key.access_key, secret)
    run, prepared = Statements._run, []

    def noting(self: Statements, raw: Any, sql: str, params: Any) -> Any:
        prepared.append(sql)
        return run(self, raw, sql, params)

    with override_settings(POST3_STORAGES={"STANDARD": DATABASE}):
        assert ask(client, "PUT", "/bucket/k", body=b"x" * 4096)[0] == 200  # the key and the bucket are known now
        monkeypatch.setattr(Statements, "_run", noting)
        with CaptureQueriesContext(connection) as others:
            status, _ = ask(client, method, path, query, body=b"x" * size)
    assert status in (200, 204)
    assert len(prepared) == 1, prepared
    assert list(others) == []
