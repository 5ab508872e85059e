"""A rule that depends on a bucket's settings sees changes on the next request, in all operations and entry points."""

import pytest
from django.core.exceptions import PermissionDenied
from django.core.files.base import ContentFile
from django.db import connection

from post3.access.permissions import AccessRequest
from post3.catalogue.buckets import known_bucket
from post3.contrib.storage import Post3Storage

from ..raw import RawClient
from ..stores import Store
from .test_permissions import ROWS, ask, ask_for, client, deny

__all__ = ["client"]

OF_BUCKETS = [(level, shape) for level, shape in ROWS if level != "SERVICE" and (level, shape) != ("BUCKET", "PUT")]


def set_region(region: str) -> None:
    """Change the row as another process does, without notifying this process."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE post3_bucket SET region = %s WHERE name = 'bucket'", [region])


def is_open(request: AccessRequest) -> bool:
    """A rule that reads a setting."""
    return request.state is None or request.state.region != "closed"


def send(client: RawClient, level: str, shape: str) -> int:
    """Send a request of that shape. Return its status, or 403 if a batch denied its only key."""
    path = "/bucket" if level == "BUCKET" else "/bucket/copy" if "+x-amz-copy-source" in shape else "/bucket/k"
    status, answer = ask_for(client, level, shape, path)
    return 403 if b"<Code>AccessDenied</Code>" in answer else status


@pytest.mark.parametrize(("level", "shape"), OF_BUCKETS, ids=[f"{level} {shape}" for level, shape in OF_BUCKETS])
def test_a_setting_changed_by_another_process_closes_and_opens_every_operation(
    client: RawClient, store: Store, monkeypatch: pytest.MonkeyPatch, level: str, shape: str
) -> None:
    asked = deny(monkeypatch, is_open)
    assert ask(client, "GET", "/bucket/k")[0] == 200
    before = known_bucket("bucket")
    assert before is not None
    set_region("closed")
    assert known_bucket("bucket") == before  # the process still has the old setting in memory
    assert send(client, level, shape) == 403
    assert any(request.state is not None and request.state.region == "closed" for request in asked)
    closed = known_bucket("bucket")
    set_region("us-east-1")
    assert known_bucket("bucket") == closed
    assert send(client, level, shape) != 403


def test_the_source_of_a_copy_is_closed_and_opened(client: RawClient, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ask(client, "PUT", "/target")[0] == 200
    deny(monkeypatch, is_open)
    copy = [("x-amz-copy-source", "/bucket/k")]
    for _ in range(2):
        assert ask(client, "PUT", "/target/copy", headers=copy)[0] == 200
        set_region("closed")
        assert ask(client, "PUT", "/target/copy", headers=copy)[0] == 403
        set_region("us-east-1")


def test_post3storage_sees_a_changed_setting(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    files = Post3Storage(bucket="bucket")
    files.save("a", ContentFile(b"x"))
    deny(monkeypatch, is_open)
    calls = {
        "save": lambda: files.save("b", ContentFile(b"x")),
        "read": lambda: files.open("a").read(),
        "exists": lambda: files.exists("a"),
        "listdir": lambda: files.listdir(""),
        "delete": lambda: files.delete("a"),
    }
    for name, call in calls.items():
        assert files.exists("a"), name
        set_region("closed")
        with pytest.raises(PermissionDenied):
            call()
        set_region("us-east-1")
    assert files.listdir("") == ([], ["a", "k"])
