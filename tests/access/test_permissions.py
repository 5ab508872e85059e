"""A rule that denies everything stops all operations, copy sources, keys of a batch, the console and commands."""

import base64
import hashlib
import io
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.core.files.base import ContentFile
from django.core.management import CommandError, call_command, get_commands
from django.test import RequestFactory

from post3.access import keys, permissions
from post3.access.callers import ANONYMOUS, OPERATOR, Caller
from post3.access.permissions import AccessRequest
from post3.admin.site import console
from post3.api import dispatch, operations
from post3.api.exchange import Exchange
from post3.contrib.storage import Post3Storage
from post3.errors import AccessDenied
from post3.models import Bucket, Object
from post3.s3.request import request_of_scope
from post3.server.bodies import MemoryBody
from post3.services import buckets, copies, multipart, objects

from ..raw import RawClient
from ..stores import ALWAYS, PLAIN, Body, Store

Rule = Callable[[AccessRequest], bool]


@pytest.fixture
def client(store: Store) -> RawClient:
    key, secret = keys.create_api_key(get_user_model().objects.get(pk=store.owner))
    return RawClient("localhost", 9000, key.access_key, secret)


def deny(monkeypatch: pytest.MonkeyPatch, rule: Rule = lambda request: False) -> list[AccessRequest]:
    """Replace the deciding rule. Return the list of requests it receives."""
    asked: list[AccessRequest] = []

    def noting(request: AccessRequest) -> bool:
        asked.append(request)
        return rule(request)

    monkeypatch.setattr(permissions, "rule", noting)
    return asked


def ask(client: RawClient, method: str, path: str, query: str = "", headers: Any = (), body: bytes = b"") -> tuple[int, bytes]:
    """Send a signed request to `dispatch` in this process. Return the response's status and body."""
    signed = client.sign(method, path, query, headers, body)
    sent = [(name.lower().encode(), value.encode()) for name, value in signed.headers]
    sent.append((b"content-length", str(len(body)).encode()))
    scope = {"type": "http", "method": method, "raw_path": path.encode(), "query_string": query.encode(), "headers": sent}
    exchange = Exchange({**scope, "client": ("127.0.0.1", 1)})
    response = dispatch.answer(exchange, method, partial(request_of_scope, scope, MemoryBody(body, True), ""))
    data = response.body if isinstance(response.body, bytes) else b"".join(response.body)
    response.close()
    return response.status, data


def md5_of(body: bytes) -> list[tuple[str, str]]:
    digest = hashlib.md5(body, usedforsecurity=False).digest()
    return [("Content-MD5", base64.b64encode(digest).decode())] if body else []


def ask_for(client: RawClient, level: str, shape: str, path: str) -> tuple[int, bytes]:
    """Send a request of a shape in the table of operations."""
    method, _, rest = shape.partition(" ")
    names = rest.partition(" ")[0].removeprefix("?") if rest.startswith("?") else ""
    valued = ("partNumber", "uploadId", "list-type")
    query = "&".join(f"{name}={'1' if name in valued else ''}" for name in names.split("&") if name)
    headers = [("x-amz-copy-source", "/bucket/k")] if "+x-amz-copy-source" in shape else []
    body = b"<Delete><Object><Key>k</Key></Object></Delete>" if operations.TABLES[level][shape].on_each_key else b""
    return ask(client, method, path, query, headers + md5_of(body), body)


ROWS = [(level, shape) for level, table in operations.TABLES.items() for shape, row in table.items() if row.view is not None]


@pytest.mark.parametrize(("level", "shape"), ROWS, ids=[f"{level} {shape}" for level, shape in ROWS])
def test_a_rule_that_denies_everything_stops_every_operation(
    client: RawClient, monkeypatch: pytest.MonkeyPatch, level: str, shape: str
) -> None:
    row = operations.TABLES[level][shape]
    asked = deny(monkeypatch)
    method, path = shape.partition(" ")[0], {"SERVICE": "/", "BUCKET": "/bucket", "OBJECT": "/bucket/k"}[level]
    status, answer = ask_for(client, level, shape, path)
    if row.on_each_key:
        assert status == 200 and b"<Error><Key>k</Key><Code>AccessDenied</Code>" in answer
    else:
        assert status == 403 and (method == "HEAD" or b"<Code>AccessDenied</Code>" in answer)
        assert (asked[0].action, asked[0].bucket, asked[0].key) == (row.action, path[1:].partition("/")[0], path[8:])


@pytest.mark.parametrize("query", ["", "partNumber=1&uploadId=1"])
def test_the_source_of_a_copy_requires_its_own_action(client: RawClient, monkeypatch: pytest.MonkeyPatch, query: str) -> None:
    asked = deny(monkeypatch, lambda request: request.key != "secret")
    headers = [("x-amz-copy-source", "/bucket/secret")]
    status, answer = ask(client, "PUT", "/bucket/target", query, headers)
    assert status == 403 and b"<Code>AccessDenied</Code>" in answer
    assert [(request.action, request.key) for request in asked] == [("s3:PutObject", "target"), ("s3:GetObject", "secret")]


def test_each_key_of_a_batch_is_authorised(client: RawClient, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put("kept", 1)
    asked = deny(monkeypatch, lambda request: request.key != "kept")
    body = b"<Delete><Object><Key>k</Key></Object><Object><Key>kept</Key></Object></Delete>"
    status, answer = ask(client, "POST", "/bucket", "delete=", md5_of(body), body)
    assert status == 200
    assert b"<Deleted><Key>k</Key></Deleted>" in answer
    assert b"<Error><Key>kept</Key><Code>AccessDenied</Code>" in answer
    assert {(request.action, request.key) for request in asked} == {("s3:DeleteObject", "k"), ("s3:DeleteObject", "kept")}
    monkeypatch.undo()
    assert store.read("kept")


@pytest.mark.parametrize(
    ("method", "query", "action"),
    [
        ("GET", "versionId=null", "s3:GetObjectVersion"),
        ("HEAD", "versionId=null", "s3:GetObjectVersion"),
        ("DELETE", "versionId=null", "s3:DeleteObjectVersion"),
        ("GET", "", "s3:GetObject"),
        ("DELETE", "", "s3:DeleteObject"),
    ],
)
def test_a_named_version_requires_another_action(
    client: RawClient, monkeypatch: pytest.MonkeyPatch, method: str, query: str, action: str
) -> None:
    asked = deny(monkeypatch)
    assert ask(client, method, "/bucket/k", query)[0] == 403
    assert [request.action for request in asked] == [action]
    assert asked[0].context == ({"s3:VersionId": "null"} if query else {})


def test_a_rule_also_decides_about_anonymous_callers(client: RawClient, monkeypatch: pytest.MonkeyPatch, store: Store) -> None:
    asked = deny(monkeypatch)
    sign_nothing(monkeypatch)
    assert ask(client, "GET", "/bucket/k")[0] == 403
    assert asked[0].caller.kind.value == "anonymous" and asked[0].action == "s3:GetObject"


@pytest.mark.parametrize(
    ("method", "path", "query", "body", "expected"),
    [
        ("GET", "/bucket/k", "", b"", [("s3:GetObject", "k")]),
        ("HEAD", "/bucket/k", "", b"", [("s3:GetObject", "k")]),
        ("GET", "/bucket/k", "versionId=null", b"", [("s3:GetObjectVersion", "k")]),
        ("GET", "/bucket", "list-type=2", b"", [("s3:ListBucket", "")]),
        ("HEAD", "/bucket", "", b"", [("s3:ListBucket", "")]),
        ("DELETE", "/bucket", "", b"", [("s3:DeleteBucket", "")]),
        ("PUT", "/new-bucket", "", b"", [("s3:CreateBucket", "")]),
        ("GET", "/", "", b"", [("s3:ListAllMyBuckets", "")]),
        ("GET", "/bucket/k", "acl=", b"", [("s3:GetObjectAcl", "k")]),
        ("PATCH", "/bucket/k", "", b"", [("", "k")]),
        (
            *("POST", "/bucket", "delete=", b"<Delete><Object><Key>k</Key></Object></Delete>"),
            [("s3:DeleteObject", ""), ("s3:DeleteObject", "k")],
        ),
    ],
)
def test_each_action_of_an_anonymous_caller_is_authorised_once(
    client: RawClient,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    path: str,
    query: str,
    body: bytes,
    expected: list[tuple[str, str]],
) -> None:
    asked = deny(monkeypatch, lambda request: True)
    sign_nothing(monkeypatch)
    ask(client, method, path, query, md5_of(body), body)
    assert [(request.action, request.key) for request in asked] == expected
    assert {request.caller for request in asked} == {ANONYMOUS}


def sign_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let clients send requests without a signature."""

    def unsigned(self: RawClient, method: str, path: str, query: str, headers: Any, body: bytes) -> Any:
        return SimpleNamespace(headers=[("Host", "localhost:9000"), *headers])

    monkeypatch.setattr(RawClient, "sign", unsigned)


def test_a_rule_that_denies_everything_stops_every_page_and_action_of_the_console(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = RequestFactory().get("/")
    request.user = get_user_model().objects.create_superuser("root")
    admins = list(console._registry.values())
    assert len(admins) > 5
    assert all(admin.has_view_permission(request) for admin in admins)
    asked = deny(monkeypatch)
    for admin in admins:
        assert not admin.has_view_permission(request), admin
        assert not admin.has_add_permission(request), admin
        assert not admin.has_change_permission(request), admin
        assert not admin.has_delete_permission(request), admin
        assert not getattr(admin, "has_revoke_permission", lambda request: False)(request)
    assert {"post3:AddApiKey", "post3:RevokeApiKey", "post3:ViewBucket", "post3:DeleteUser"} <= {each.action for each in asked}
    assert {each.caller.kind.value for each in asked} == {"console"}


@pytest.mark.parametrize("caller", [ANONYMOUS, OPERATOR], ids=["anonymous", "operator"])
def test_caller_without_a_user_stores_nothing_whatever_the_rule_allows(
    store: Store, monkeypatch: pytest.MonkeyPatch, caller: Caller
) -> None:
    deny(monkeypatch, lambda request: True)
    grant, left = permissions.grant_one(caller, "s3:*", "bucket"), store.bytes_left()
    for write in (
        lambda: objects.put_object(grant, "new", PLAIN, Body(b"x" * 300_000), ALWAYS),
        lambda: copies.copy_object(grant, "k", ALWAYS, grant, "new", None, None, ALWAYS),
        lambda: multipart.create_multipart_upload(grant, "new", PLAIN, "", ""),
        lambda: buckets.create_bucket("new-bucket", caller, None),
    ):
        with pytest.raises(AccessDenied):
            write()
    assert store.bytes_left() == left
    assert [each.key for each in Object.objects.all()] == ["k"] and [each.name for each in Bucket.objects.all()] == ["bucket"]


COMMANDS = sorted(name for name, app in get_commands().items() if app == "post3")


@pytest.mark.parametrize("command", COMMANDS)
def test_a_rule_that_denies_everything_stops_every_command(store: Store, monkeypatch: pytest.MonkeyPatch, command: str) -> None:
    asked = deny(monkeypatch)
    arguments = {"revoke_api_key": ["P3"], "create_console_user": ["x"], "create_api_key": ["--user", "owner"]}
    with pytest.raises(CommandError, match=f"The command {command} is not allowed"):
        call_command(command, *arguments.get(command, []), stdout=io.StringIO())
    assert [each.action for each in asked] == [f"post3:{command.title().replace('_', '')}"]


def test_a_rule_that_denies_everything_stops_post3storage(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    files = Post3Storage(bucket="bucket")
    files.save("a", ContentFile(b"x"))
    deny(monkeypatch)
    for call in (
        lambda: files.save("b", ContentFile(b"x")),
        lambda: files.open("a").read(),
        lambda: files.delete("a"),
        lambda: files.exists("a"),
        lambda: files.size("a"),
        lambda: files.listdir(""),
    ):
        with pytest.raises(PermissionDenied):
            call()
    monkeypatch.undo()
    assert files.listdir("") == ([], ["a", "k"])
