"""A bucket setting changed by another process takes effect on the next request, whatever the server has in memory."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ..helpers import query
from ..servers import Server
from .versions import WRITES, Call, bucket, header, switch, versions, writes

__all__ = ["bucket", "writes"]


@pytest.mark.parametrize("name", WRITES)
def test_a_write_after_versioning_is_enabled_keeps_what_was_there(
    server: Server, bucket: str, writes: dict[str, Call], name: str
) -> None:
    switch(server, bucket, "Enabled")
    version_id = header(writes[name]())
    assert version_id and version_id != "null"
    found = versions(server, bucket, "k")
    assert [each[:3] for each in found] == [("null", False, False), (version_id, True, False)]
    assert found[0][3] == 1 and found[1][3] >= 2


@pytest.mark.parametrize("name", WRITES)
def test_a_write_after_versioning_is_suspended_replaces_the_null_version(
    server: Server, s3: Any, bucket: str, writes: dict[str, Call], name: str
) -> None:
    switch(server, bucket, "Enabled")
    kept = header(s3.put_object(Bucket=bucket, Key="k", Body=b"333"))
    switch(server, bucket, "Suspended")
    if name == "PutObject under a condition":
        etag = s3.head_object(Bucket=bucket, Key="k")["ETag"]
        answer = s3.put_object(Bucket=bucket, Key="k", Body=b"22", IfMatch=etag)
    else:
        answer = writes[name]()
    assert header(answer) == "null"
    assert [each[:3] for each in versions(server, bucket, "k")] == [(kept, False, False), ("null", True, False)]


def test_deleting_after_versioning_is_enabled_hides_what_was_there(
    server: Server, s3: Any, bucket: str, writes: dict[str, Call]
) -> None:
    switch(server, bucket, "Enabled")
    answer = s3.delete_object(Bucket=bucket, Key="k")
    version_id = header(answer)
    assert version_id and answer["DeleteMarker"] is True
    assert versions(server, bucket, "k") == [("null", False, False, 1), (version_id, True, True, 0)]
    assert "Contents" not in s3.list_objects_v2(Bucket=bucket, Prefix="k")
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket=bucket, Key="k")
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "source"}]})
    assert [each[1:3] for each in versions(server, bucket, "source")] == [(False, False), (True, True)]
    switch(server, bucket, "Suspended")
    assert header(s3.delete_object(Bucket=bucket, Key="k")) == "null"
    assert versions(server, bucket, "k") == [(version_id, False, True, 0), ("null", True, True, 0)]


def test_reads_see_a_changed_bucket_at_once(server: Server, s3: Any, bucket: str, writes: dict[str, Call]) -> None:
    """The region represents all settings that appear in responses."""
    reads: dict[str, Callable[[], str | None]] = {
        "ListObjects": lambda: header(s3.list_objects(Bucket=bucket), "x-amz-bucket-region"),
        "ListObjectsV2": lambda: header(s3.list_objects_v2(Bucket=bucket), "x-amz-bucket-region"),
        "an empty page": lambda: header(s3.list_objects_v2(Bucket=bucket, MaxKeys=0), "x-amz-bucket-region"),
        "a page of prefixes": lambda: header(s3.list_objects(Bucket=bucket, Delimiter="/"), "x-amz-bucket-region"),
        "HeadBucket": lambda: header(s3.head_bucket(Bucket=bucket), "x-amz-bucket-region"),
        "GetBucketLocation": lambda: s3.get_bucket_location(Bucket=bucket)["LocationConstraint"],
    }
    for region in ("eu-west-1", "eu-west-2"):
        for name, read in reads.items():
            previous = read()
            query(server, "UPDATE post3_bucket SET region = ? WHERE name = ? RETURNING id", (f"{region}", bucket))
            assert (name, read()) == (name, region)
            query(server, "UPDATE post3_bucket SET region = 'us-east-1' WHERE name = ? RETURNING id", (bucket,))
            assert previous in (None, "us-east-1")


def test_a_bucket_that_another_process_replaced_is_the_new_one(server: Server, s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    (made,) = query(server, "SELECT owner_id, region, created_at FROM post3_bucket WHERE name = ?", (bucket,))
    query(server, "DELETE FROM post3_bucket WHERE name = ? RETURNING id", (bucket,))
    with pytest.raises(s3.exceptions.NoSuchBucket):
        s3.get_object(Bucket=bucket, Key="k")
    query(
        server, "INSERT INTO post3_bucket (name, owner_id, region, created_at) VALUES (?, ?, ?, ?) RETURNING id", (bucket, *made)
    )
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket=bucket, Key="k")
    s3.put_object(Bucket=bucket, Key="k", Body=b"2")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"2"


def test_concurrent_writers_of_one_key_append_a_version_each(server: Server, s3: Any, bucket: str) -> None:
    switch(server, bucket, "Enabled")
    with ThreadPoolExecutor(8) as threads:
        answers = threads.map(lambda size: s3.put_object(Bucket=bucket, Key="k", Body=b"x" * size), range(40))
        made = {header(answer) for answer in answers}
    found = versions(server, bucket, "k")
    assert len(made) == 40 and {version_id for version_id, *_ in found} == made
    assert [is_latest for _, is_latest, _, _ in found] == [False] * 39 + [True]
