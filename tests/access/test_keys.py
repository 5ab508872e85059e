"""API keys: creation, lookup and revocation, and secrets under a changing SECRET_KEY."""

import io
import json
import logging
import re
import threading
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.management import CommandError, call_command
from django.test import override_settings

from post3.access import keys as api_keys
from post3.access.callers import Caller
from post3.access.owners import canonical_id
from post3.errors import InternalError, InvalidAccessKeyId
from post3.models import ApiKey

#: Long enough that no entry expires during a test.
CACHED = override_settings(POST3_API_KEY_CACHE_SECONDS=3600)
UNCACHED = override_settings(POST3_API_KEY_CACHE_SECONDS=0)


@pytest.fixture
def user(catalogue: Any) -> Any:
    return get_user_model().objects.create_user("ada")


def manage(*arguments: str) -> str:
    out = io.StringIO()
    call_command(*arguments, stdout=out)
    return out.getvalue()


def count_queries(catalogue: Any, access_key: str) -> int:
    statements = []

    def count(execute: Any, sql: str, *rest: Any) -> Any:
        statements.append(sql)
        return execute(sql, *rest)

    with catalogue.execute_wrapper(count):
        api_keys.look_up(access_key)
    return len(statements)


def test_created_key_has_a_format_that_clients_accept(user: Any) -> None:
    key, secret = api_keys.create_api_key(user, "laptop")
    assert re.fullmatch(r"P3[A-Z0-9]{18}", key.access_key)
    assert re.fullmatch(r"[A-Za-z0-9]{40}", secret)
    assert (key.user, key.name, key.is_active) == (user, "laptop", True)


def test_secret_is_not_in_the_row(user: Any) -> None:
    key, secret = api_keys.create_api_key(user)
    key.refresh_from_db()
    assert secret.encode() not in bytes(key.secret_encrypted)


def test_key_of_an_inactive_user_is_not_created(user: Any) -> None:
    user.is_active = False
    with pytest.raises(api_keys.InactiveUser, match="ada"):
        api_keys.create_api_key(user)


def test_lookup_returns_secret_and_caller(user: Any) -> None:
    key, secret = api_keys.create_api_key(user)
    assert api_keys.look_up(key.access_key) == (
        secret,
        Caller(key.access_key, user.pk, canonical_id(user.pk)),
    )


@pytest.mark.parametrize("access_key", ["", "P3UNKNOWN", "with\x00nul", "ünicode", "x" * 5000])
def test_lookup_of_an_unknown_key_is_refused(catalogue: Any, access_key: str) -> None:
    with pytest.raises(InvalidAccessKeyId) as refused:
        api_keys.look_up(access_key)
    assert refused.value.fields == {"AWSAccessKeyId": access_key}


@CACHED
def test_key_revoked_in_this_process_is_refused_immediately(user: Any) -> None:
    key, _ = api_keys.create_api_key(user)
    api_keys.look_up(key.access_key)
    api_keys.revoke_api_key(key.access_key)
    with pytest.raises(InvalidAccessKeyId):
        api_keys.look_up(key.access_key)


@override_settings(POST3_API_KEY_CACHE_SECONDS=0.05)
def test_key_revoked_elsewhere_is_refused_after_the_cache_time(user: Any) -> None:
    key, _ = api_keys.create_api_key(user)
    api_keys.look_up(key.access_key)
    ApiKey.objects.update(revoked_at=key.created_at)
    threading.Event().wait(0.06)
    with pytest.raises(InvalidAccessKeyId):
        api_keys.look_up(key.access_key)


@UNCACHED
def test_key_of_a_user_made_inactive_is_refused(user: Any) -> None:
    key, _ = api_keys.create_api_key(user)
    api_keys.look_up(key.access_key)
    get_user_model().objects.update(is_active=False)
    with pytest.raises(InvalidAccessKeyId):
        api_keys.look_up(key.access_key)


@CACHED
def test_lookup_queries_the_database_once(user: Any, catalogue: Any) -> None:
    key, _ = api_keys.create_api_key(user)
    assert [count_queries(catalogue, key.access_key) for _ in range(3)] == [1, 0, 0]


@CACHED
def test_cache_is_bounded(user: Any, catalogue: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_keys, "CACHE_ENTRIES", 2)
    keys = [api_keys.create_api_key(user)[0].access_key for _ in range(3)]
    for key in keys:
        api_keys.look_up(key)
    assert [count_queries(catalogue, key) for key in (keys[2], keys[1], keys[0])] == [0, 0, 1]


@UNCACHED
def test_secret_outlives_a_rotation_of_the_secret_key(user: Any) -> None:
    with override_settings(SECRET_KEY="old " * 10):
        key, secret = api_keys.create_api_key(user)
    with override_settings(SECRET_KEY="new " * 10, SECRET_KEY_FALLBACKS=["old " * 10]):
        assert api_keys.look_up(key.access_key)[0] == secret


@UNCACHED
def test_secret_of_a_lost_secret_key_is_an_internal_error_explained_in_the_log(
    user: Any, caplog: pytest.LogCaptureFixture
) -> None:
    key, _ = api_keys.create_api_key(user)
    with override_settings(SECRET_KEY="other " * 10), caplog.at_level(logging.ERROR), pytest.raises(InternalError):
        api_keys.look_up(key.access_key)
    assert key.access_key in caplog.text and "SECRET_KEY_FALLBACKS" in caplog.text


def test_canonical_id_is_stable_and_different_for_each_user() -> None:
    # Literal value: if the ID changed, every client would see different owners.
    assert canonical_id(1) == "66883638da2bef60b2f95d800a4b643bbce03b6aa5a2d01c4806e062f46d511e"
    assert canonical_id(1) != canonical_id(2)


def test_revoking_again_keeps_the_first_date(user: Any) -> None:
    key, _ = api_keys.create_api_key(user)
    first = api_keys.revoke_api_key(key.access_key).revoked_at
    assert first is not None and api_keys.revoke_api_key(key.access_key).revoked_at == first


def test_commands_create_list_and_revoke_a_key(catalogue: Any) -> None:
    made = json.loads(manage("create_api_key", "--user", "bob", "--create-user", "--name", "backup", "--json"))
    access_key, secret = made["AWS_ACCESS_KEY_ID"], made["AWS_SECRET_ACCESS_KEY"]
    assert api_keys.look_up(access_key)[0] == secret
    bob = get_user_model().objects.get(username="bob")
    assert not (bob.is_staff or bob.is_superuser or bob.has_usable_password())
    (listed,) = json.loads(manage("list_api_keys", "--json"))
    assert (listed["access_key"], listed["user"], listed["name"], listed["revoked_at"]) == (access_key, "bob", "backup", None)
    assert access_key in manage("revoke_api_key", access_key)
    assert json.loads(manage("list_api_keys", "--json"))[0]["revoked_at"]
    assert access_key in manage("list_api_keys") and secret not in manage("list_api_keys")


def test_create_api_key_command_prints_lines_to_paste(catalogue: Any) -> None:
    get_user_model().objects.create_superuser("root")
    pattern = (
        r"export AWS_ACCESS_KEY_ID=P3[A-Z0-9]{18}\nexport AWS_SECRET_ACCESS_KEY=[A-Za-z0-9]{40}\n"
        r"# Account: [1-9][0-9]{11}\n"
    )
    assert re.fullmatch(pattern, manage("create_api_key"))


def test_create_api_key_command_without_user_requires_exactly_one_superuser(catalogue: Any) -> None:
    with pytest.raises(CommandError, match="no superuser"):
        manage("create_api_key")
    for name in ("one", "two"):
        get_user_model().objects.create_superuser(name)
    with pytest.raises(CommandError, match="more than one"):
        manage("create_api_key")


@pytest.mark.parametrize(
    "arguments", [("create_api_key", "--user", "nobody"), ("create_api_key", "--create-user"), ("revoke_api_key", "P3NOPE")]
)
def test_commands_report_errors_in_one_line(catalogue: Any, arguments: tuple[str, ...]) -> None:
    with pytest.raises(CommandError) as refused:
        manage(*arguments)
    assert "\n" not in str(refused.value)
