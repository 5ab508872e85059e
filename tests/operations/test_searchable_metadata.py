"""The searchable rows of `ObjectMetadata` match the metadata of the objects after every kind of write."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from ..helpers import query
from ..servers import Server
from .multipart import begin, send
from .test_bucket_settings_races import wait_for_lock
from .versions import bucket, switch

__all__ = ["bucket"]


def metadata_of(server: Server, bucket: str) -> dict[str, tuple[dict[str, str], dict[str, str]]]:
    """Map each version of a key to the metadata in its row and the metadata in the searchable rows."""
    found = query(
        server,
        "SELECT o.id, o.key, o.sequence, o.metadata FROM post3_object o JOIN post3_bucket b ON b.id = o.bucket_id "
        "WHERE b.name = ?",
        (bucket,),
    )
    rows = {}
    for object_id, key, sequence, metadata in found:
        searched = dict(query(server, "SELECT name, value FROM post3_objectmetadata WHERE object_id = ?", (object_id,)))
        rows[f"{key} {sequence}"] = (json.loads(metadata) if isinstance(metadata, str) else metadata, searched)
    return rows


@pytest.mark.parametrize("versioning", ["", "Enabled", "Suspended"])
def test_searchable_metadata_follows_every_write(server: Server, s3: Any, bucket: str, versioning: str) -> None:
    if versioning:
        switch(server, bucket, versioning)
    at = {"Bucket": bucket, "Key": "k"}
    source = {"Bucket": bucket, "Key": "source"}

    def complete() -> None:
        upload_id = begin(s3, bucket, "k", Metadata={"uploaded": "in parts"})
        parts = send(s3, bucket, "k", upload_id, {1: b"x"})
        s3.complete_multipart_upload(**at, UploadId=upload_id, MultipartUpload={"Parts": parts})

    s3.put_object(**source, Body=b"x", Metadata={"of": "the source", "b": "from it"})
    writes: list[tuple[Callable[[], Any], dict[str, str]]] = [
        (lambda: s3.put_object(**at, Body=b"x", Metadata={"a": "1", "b": "2"}), {"a": "1", "b": "2"}),
        (lambda: s3.put_object(**at, Body=b"x", Metadata={"b": "3", "c": "4"}), {"b": "3", "c": "4"}),
        (lambda: s3.copy_object(**at, CopySource=source), {"of": "the source", "b": "from it"}),
        (
            lambda: s3.copy_object(**at, CopySource=source, MetadataDirective="REPLACE", Metadata={"own": "1"}),
            {"own": "1"},
        ),
        (complete, {"uploaded": "in parts"}),
        (lambda: s3.put_object(**at, Body=b"x"), {}),
    ]
    for write, expected in writes:
        write()
        assert s3.head_object(**at)["Metadata"] == expected
        found = metadata_of(server, bucket)
        latest = max((place for place in found if place.startswith("k ")), key=lambda place: int(place[2:]))
        assert found[latest][0].keys() == expected.keys()
        assert all(in_row == searched for in_row, searched in found.values())


@pytest.mark.parametrize("server", ["postgresql-blocks"], indirect=True, scope="session")
def test_overwrites_at_the_same_time_leave_metadata_of_one(server: Server, s3: Any, bucket: str) -> None:
    at = {"Bucket": bucket, "Key": "k"}
    s3.put_object(**at, Body=b"x", Metadata={"first": "1"})
    with ThreadPoolExecutor(2) as threads:
        with psycopg.connect(server.environment["DATABASE_URL"]) as blocker:
            blocker.execute("SELECT 1 FROM post3_object WHERE key = 'k' FOR UPDATE")
            writes = [threads.submit(s3.put_object, **at, Body=b"x", Metadata={name: "2"}) for name in ("one", "other")]
            wait_for_lock(server, 2)
        for write in writes:
            write.result(30)
    found = metadata_of(server, bucket)["k 1"]
    assert found[0] == found[1] and len(found[0]) == 1
    assert s3.head_object(**at)["Metadata"] == found[0]


@pytest.mark.parametrize("server", ["postgresql-blocks"], indirect=True, scope="session")
def test_an_overwrite_changes_no_column_that_identifies_a_version(server: Server, s3: Any, bucket: str) -> None:
    """PostgreSQL writes to all indexes of a row if any of them contains a changed column."""
    for _ in range(3):
        s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    assert query(server, "SELECT sequence, revision FROM post3_object WHERE key = 'k' AND version_id = 'null'") == [(1, 3)]
