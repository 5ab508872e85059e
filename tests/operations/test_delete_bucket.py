"""DeleteBucket: DELETE /bucket."""

import uuid
from typing import Any

from ..helpers import query, refusal, refusal_of, status_of
from ..raw import RawClient
from ..servers import Server


def test_delete_bucket_that_is_empty(s3: Any, raw: RawClient) -> None:
    name = f"gone-{uuid.uuid4().hex[:16]}"
    s3.create_bucket(Bucket=name)
    response = raw.send("DELETE", f"/{name}")
    assert (response.status, response.body) == (204, b"")
    assert refusal(s3.head_bucket, Bucket=name).status == 404
    assert name not in [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]]


def test_delete_bucket_with_objects_is_refused(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"a")
    refused = refusal(s3.delete_bucket, Bucket=bucket)
    assert (refused.status, refused.code) == (409, "BucketNotEmpty")
    assert refused.message == "The bucket you tried to delete is not empty"
    assert refused.fields == {"BucketName": bucket}
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"a"


def test_delete_bucket_after_its_last_object(s3: Any) -> None:
    name = f"gone-{uuid.uuid4().hex[:16]}"
    s3.create_bucket(Bucket=name)
    s3.put_object(Bucket=name, Key="a", Body=b"a" * 100)
    s3.delete_object(Bucket=name, Key="a")
    assert status_of(s3.delete_bucket(Bucket=name)) == 204
    s3.create_bucket(Bucket=name)
    assert "Contents" not in s3.list_objects_v2(Bucket=name)
    s3.delete_bucket(Bucket=name)


def test_delete_bucket_with_an_upload_in_progress_deletes_that_too(s3: Any, server: Server) -> None:
    name = f"gone-{uuid.uuid4().hex[:16]}"
    s3.create_bucket(Bucket=name)
    upload = s3.create_multipart_upload(Bucket=name, Key="a")["UploadId"]
    s3.upload_part(Bucket=name, Key="a", UploadId=upload, PartNumber=1, Body=b"x" * 2_000_000)
    assert status_of(s3.delete_bucket(Bucket=name)) == 204
    assert query(server, "SELECT count(*) FROM post3_multipartupload WHERE upload_id = ?", [upload]) == [(0,)]
    # The upload's bytes are left to the worker. They are released, so it finds them.
    assert query(
        server,
        "SELECT count(*) FROM post3_blob b WHERE state = 1 AND released_at IS NULL AND size = 2000000 "
        "AND NOT EXISTS (SELECT 1 FROM post3_uploadpart p WHERE p.blob_id = b.id) "
        "AND NOT EXISTS (SELECT 1 FROM post3_objectpart p WHERE p.blob_id = b.id) "
        "AND NOT EXISTS (SELECT 1 FROM post3_object o WHERE o.blob_id = b.id)",
    ) == [(0,)]


def test_delete_bucket_that_is_missing_is_refused(raw: RawClient) -> None:
    refused = refusal_of(raw.send("DELETE", "/missing-bucket"))
    assert (refused.status, refused.code) == (404, "NoSuchBucket")
    assert refused.message == "The specified bucket does not exist"
    assert refused.fields == {"BucketName": "missing-bucket"}
