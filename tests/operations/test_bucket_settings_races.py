"""Writes concurrent with a change of their bucket, on PostgreSQL. SQLite allows only one writer at a time."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from ..helpers import query
from ..servers import Server
from .versions import WRITES, Call, bucket, header, switch, versions, writes

__all__ = ["bucket", "writes"]


pytestmark = pytest.mark.parametrize("server", ["postgresql-blocks"], indirect=True, scope="session")


@contextmanager
def transaction(server: Server) -> Iterator[psycopg.Connection[Any]]:
    """Open another client's transaction on the catalogue, and commit it at the end."""
    with psycopg.connect(server.environment["DATABASE_URL"]) as connection:
        yield connection


def wait_for_lock(server: Server, count: int = 1) -> None:
    """Wait until at least `count` connections wait for a lock."""
    for _ in range(3000):
        if query(server, "SELECT count(*) FROM pg_locks WHERE NOT granted")[0][0] >= count:
            return
        query(server, "SELECT pg_sleep(0.01)")
    raise AssertionError("nothing waits for a lock")


@pytest.mark.parametrize("name", WRITES)
def test_a_write_waits_for_a_change_of_the_bucket_that_began_before(
    server: Server, bucket: str, writes: dict[str, Call], name: str
) -> None:
    """The write started while versioning was off, and must not overwrite what others write after the change."""
    with ThreadPoolExecutor(1) as threads:
        with transaction(server) as change:
            change.execute("UPDATE post3_bucket SET versioning = 'Enabled' WHERE name = %s", (bucket,))
            answer: Future[dict[str, Any]] = threads.submit(writes[name])
            wait_for_lock(server)
        assert header(answer.result(30))
    assert versions(server, bucket, "k")[0] == ("null", False, False, 1)


def test_a_change_of_the_bucket_waits_for_writes_in_flight(server: Server, s3: Any, bucket: str, writes: dict[str, Call]) -> None:
    """A PUT and a DELETE that started before versioning was enabled precede every version written after that."""
    s3.put_object(Bucket=bucket, Key="doomed", Body=b"1")
    with ThreadPoolExecutor(4) as threads:
        with transaction(server) as blocker:
            blocker.execute("SELECT 1 FROM post3_object WHERE key IN ('k', 'doomed') FOR UPDATE")
            before = [
                threads.submit(writes["PutObject"]),
                threads.submit(lambda: s3.delete_object(Bucket=bucket, Key="doomed")),
            ]
            wait_for_lock(server, 2)
            changed = threads.submit(switch, server, bucket, "Enabled")
            wait_for_lock(server, 3)
            after = threads.submit(lambda: s3.put_object(Bucket=bucket, Key="doomed", Body=b"333"))
            wait_for_lock(server, 4)
            assert not any(future.done() for future in (*before, changed, after))
        assert [header(future.result(30)) for future in before] == [None, None]
        changed.result(30)
        version_id = header(after.result(30))
    assert versions(server, bucket, "k") == [("null", True, False, 2)]
    assert versions(server, bucket, "doomed") == [(version_id, True, False, 3)]
