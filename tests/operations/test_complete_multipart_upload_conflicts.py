"""CompleteMultipartUpload with a condition, after the key was written or deleted since the upload started (B073)."""

from collections.abc import Callable
from typing import Any

import pytest

from ..helpers import read, refusal
from .multipart import begin, complete, md5_of, send, upload

CONFLICT = "The conditional request cannot succeed due to a conflicting operation against this resource."

Change = Callable[[Any, str], object]


def put(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"during")


def put_the_same(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"before")


def copy(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="source", Body=b"during")
    s3.copy_object(Bucket=bucket, Key="k", CopySource={"Bucket": bucket, "Key": "source"})


def touch(s3: Any, bucket: str) -> None:
    s3.copy_object(Bucket=bucket, Key="k", CopySource={"Bucket": bucket, "Key": "k"}, MetadataDirective="REPLACE")


def complete_another(s3: Any, bucket: str) -> None:
    upload(s3, bucket, "k", {1: b"another"})


def delete(s3: Any, bucket: str) -> None:
    s3.delete_object(Bucket=bucket, Key="k")


def delete_by_condition(s3: Any, bucket: str) -> None:
    s3.delete_object(Bucket=bucket, Key="k", IfMatch=s3.head_object(Bucket=bucket, Key="k")["ETag"])


def delete_several(s3: Any, bucket: str) -> None:
    s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "a"}, {"Key": "k"}]})


def begun(s3: Any, bucket: str) -> tuple[str, dict[str, Any]]:
    """Start an upload to the key and send its part. Return its ID and the arguments that complete it."""
    upload_id = begin(s3, bucket, "k")
    parts = send(s3, bucket, "k", upload_id, {1: b"parts"})
    return upload_id, {"Bucket": bucket, "Key": "k", "UploadId": upload_id, "MultipartUpload": {"Parts": parts}}


def check_conflict(s3: Any, arguments: dict[str, Any], condition: str) -> None:
    refused = refusal(s3.complete_multipart_upload, **arguments)
    assert (refused.status, refused.code, refused.message) == (409, "ConditionalRequestConflict", CONFLICT)
    assert refused.fields == {"Condition": condition, "Key": "k"}


@pytest.mark.parametrize("change", [put, put_the_same, copy, touch, complete_another])
def test_complete_multipart_upload_if_match_of_a_version_written_since(s3: Any, bucket: str, change: Change) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"before")
    upload_id, arguments = begun(s3, bucket)
    change(s3, bucket)
    etag = s3.head_object(Bucket=bucket, Key="k")["ETag"]
    for _ in range(2):
        check_conflict(s3, arguments | {"IfMatch": etag}, "If-Match")
    refused = refusal(s3.complete_multipart_upload, **arguments, IfMatch=md5_of(b"neither"))
    assert (refused.status, refused.code) == (412, "PreconditionFailed")
    assert len(s3.list_parts(Bucket=bucket, Key="k", UploadId=upload_id)["Parts"]) == 1
    _, again = begun(s3, bucket)
    s3.complete_multipart_upload(**again, IfMatch=etag)
    assert read(s3, bucket, "k") == b"parts"


@pytest.mark.parametrize("change", [put, copy, complete_another])
def test_complete_multipart_upload_if_match_of_a_version_that_did_not_exist(s3: Any, bucket: str, change: Change) -> None:
    _, arguments = begun(s3, bucket)
    change(s3, bucket)
    check_conflict(s3, arguments | {"IfMatch": s3.head_object(Bucket=bucket, Key="k")["ETag"]}, "If-Match")


@pytest.mark.parametrize("change", [delete, delete_by_condition, delete_several])
def test_complete_multipart_upload_after_a_deletion(s3: Any, bucket: str, change: Change) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"before")["ETag"]
    _, arguments = begun(s3, bucket)
    refused = refusal(s3.complete_multipart_upload, **arguments, IfNoneMatch="*")
    assert (refused.status, refused.code) == (412, "PreconditionFailed")
    change(s3, bucket)
    check_conflict(s3, arguments | {"IfNoneMatch": "*"}, "If-None-Match")
    refused = refusal(s3.complete_multipart_upload, **arguments, IfMatch=etag)
    assert (refused.status, refused.code, refused.fields["Key"]) == (404, "NoSuchKey", "k")
    put_the_same(s3, bucket)
    check_conflict(s3, arguments | {"IfMatch": etag}, "If-Match")
    refused = refusal(s3.complete_multipart_upload, **arguments, IfNoneMatch="*")
    assert (refused.status, refused.code) == (412, "PreconditionFailed")
    delete(s3, bucket)
    _, again = begun(s3, bucket)
    s3.complete_multipart_upload(**again, IfNoneMatch="*")
    assert read(s3, bucket, "k") == b"parts"


@pytest.mark.parametrize("change", [delete, delete_by_condition, delete_several])
def test_complete_multipart_upload_after_a_key_was_written_and_deleted(s3: Any, bucket: str, change: Change) -> None:
    _, arguments = begun(s3, bucket)
    put(s3, bucket)
    change(s3, bucket)
    check_conflict(s3, arguments | {"IfNoneMatch": "*"}, "If-None-Match")


def test_complete_multipart_upload_after_changes_elsewhere(s3: Any, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="k", Body=b"before")["ETag"]
    fresh = begin(s3, bucket, "fresh")
    parts = send(s3, bucket, "fresh", fresh, {1: b"x"})
    _, arguments = begun(s3, bucket)
    for key in ("k2", "K", "fresh/", "other"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
        s3.delete_object(Bucket=bucket, Key=key)
    s3.delete_object(Bucket=bucket, Key="fresh")  # the key does not exist
    s3.complete_multipart_upload(**arguments, IfMatch=etag)
    complete(s3, bucket, "fresh", fresh, parts, IfNoneMatch="*")
    assert (read(s3, bucket, "k"), read(s3, bucket, "fresh")) == (b"parts", b"x")


@pytest.mark.parametrize("change", [put, copy, complete_another, delete, delete_several])
def test_complete_multipart_upload_without_conditions_overwrites_later_writes(s3: Any, bucket: str, change: Change) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"before")
    _, arguments = begun(s3, bucket)
    change(s3, bucket)
    s3.complete_multipart_upload(**arguments)
    assert read(s3, bucket, "k") == b"parts"
