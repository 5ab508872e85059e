"""DeleteObject: DELETE /bucket/key."""

from typing import Any

import pytest

from ..helpers import etag_of, files_of, keys_of, query, read, refusal, refusal_of, status_of
from ..raw import RawClient
from ..servers import Server


@pytest.mark.parametrize("size", [0, 10, 3 << 20])
def test_delete_object_removes_it(s3: Any, raw: RawClient, bucket: str, size: int) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"x" * size)
    s3.put_object(Bucket=bucket, Key="b", Body=b"b")
    response = raw.send("DELETE", f"/{bucket}/a")
    assert (response.status, response.body) == (204, b"")
    refused = refusal(s3.get_object, Bucket=bucket, Key="a")
    assert (refused.status, refused.code) == (404, "NoSuchKey")
    assert keys_of(s3, bucket) == ["b"]
    assert read(s3, bucket, "b") == b"b"


def test_delete_object_that_is_missing_is_not_an_error(raw: RawClient, bucket: str) -> None:
    assert raw.send("DELETE", f"/{bucket}/missing").status == 204


def test_delete_object_of_a_missing_bucket_is_refused(raw: RawClient) -> None:
    refused = refusal_of(raw.send("DELETE", "/missing-bucket/a"))
    assert (refused.status, refused.code) == (404, "NoSuchBucket")
    assert refused.fields == {"BucketName": "missing-bucket"}


def test_delete_object_releases_its_bytes_for_the_worker(s3: Any, bucket: str, server: Server) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"x" * 3_000_000)
    [(blob, name)] = query(
        server, "SELECT b.id, b.name FROM post3_blob b JOIN post3_object o ON o.blob_id = b.id WHERE o.size = 3000000"
    )
    s3.delete_object(Bucket=bucket, Key="a")
    assert query(server, "SELECT count(*) FROM post3_blob WHERE id = ? AND released_at IS NOT NULL", [blob]) == [(1,)]
    assert f"{name}.json" not in files_of(server)


def test_delete_object_if_match_deletes_only_the_named_version(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"a")
    refused = refusal(s3.delete_object, Bucket=bucket, Key="a", IfMatch=etag_of(b"b"))
    assert (refused.status, refused.code, refused.fields) == (412, "PreconditionFailed", {"Condition": "If-Match"})
    assert read(s3, bucket, "a") == b"a"
    assert status_of(s3.delete_object(Bucket=bucket, Key="a", IfMatch=etag_of(b"a"))) == 204
    assert keys_of(s3, bucket) == []


@pytest.mark.parametrize(
    "header", [("x-amz-if-match-size", "1"), ("x-amz-if-match-last-modified-time", "Thu, 01 Dec 2022 16:00:00 GMT")]
)
def test_delete_object_if_match_size_or_time_is_not_implemented(
    s3: Any, raw: RawClient, bucket: str, header: tuple[str, str]
) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"a")
    refused = refusal_of(raw.send("DELETE", f"/{bucket}/a", headers=[header]))
    assert (refused.status, refused.code, refused.fields) == (501, "NotImplemented", {"Header": header[0]})
    assert keys_of(s3, bucket) == ["a"]


def test_delete_object_with_a_version_deletes_only_the_null_one(s3: Any, bucket: str) -> None:
    # B057
    s3.put_object(Bucket=bucket, Key="a", Body=b"a")
    refused = refusal(s3.delete_object, Bucket=bucket, Key="a", VersionId="nonsense")
    assert (refused.status, refused.code, refused.message) == (400, "InvalidArgument", "Invalid version id specified")
    assert keys_of(s3, bucket) == ["a"]
    assert status_of(s3.delete_object(Bucket=bucket, Key="a", VersionId="null")) == 204
    assert keys_of(s3, bucket) == []
