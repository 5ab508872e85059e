"""AbortMultipartUpload."""

from typing import Any

import pytest

from tests.raw import RawClient

from .listed import refused
from .multipart import FIRST, begin, complete, read, send


def test_abort_multipart_upload_ends_it(s3: Any, bucket: str, raw: RawClient) -> None:
    upload_id = begin(s3, bucket, "k", Metadata={"a": "b"})
    parts = send(s3, bucket, "k", upload_id, {1: FIRST, 2: b"x"})
    answer = raw.send("DELETE", f"/{bucket}/k", f"uploadId={upload_id}")
    assert (answer.status, answer.body) == (204, b"")  # B092
    arguments = {"Bucket": bucket, "Key": "k", "UploadId": upload_id}
    refused(404, "NoSuchUpload", s3.list_parts, **arguments)
    refused(404, "NoSuchUpload", s3.complete_multipart_upload, **arguments, MultipartUpload={"Parts": parts})
    refused(404, "NoSuchKey", s3.get_object, Bucket=bucket, Key="k")
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_abort_multipart_upload_again_is_refused(s3: Any, bucket: str) -> None:
    arguments = {"Bucket": bucket, "Key": "k", "UploadId": begin(s3, bucket, "k")}
    s3.abort_multipart_upload(**arguments)
    assert refused(404, "NoSuchUpload", s3.abort_multipart_upload, **arguments)["UploadId"] == arguments["UploadId"]  # B006


def test_abort_multipart_upload_leaves_other_uploads_and_the_old_object(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")
    first, second = begin(s3, bucket, "k"), begin(s3, bucket, "k")
    send(s3, bucket, "k", first, {1: b"first"})
    parts = send(s3, bucket, "k", second, {1: b"second"})
    s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=first)
    assert read(s3, bucket, "k") == b"old"  # B092
    complete(s3, bucket, "k", second, parts)
    assert read(s3, bucket, "k") == b"second"


def test_abort_multipart_upload_after_complete_leaves_the_object(s3: Any, bucket: str) -> None:
    upload_id = begin(s3, bucket, "k")
    complete(s3, bucket, "k", upload_id, send(s3, bucket, "k", upload_id, {1: b"x"}))
    refused(404, "NoSuchUpload", s3.abort_multipart_upload, Bucket=bucket, Key="k", UploadId=upload_id)
    assert read(s3, bucket, "k") == b"x"


@pytest.mark.parametrize("upload_id", ["nonsense", "0" * 64, "ü"])
def test_abort_multipart_upload_that_is_unknown(s3: Any, bucket: str, upload_id: str) -> None:
    arguments = {"Key": "k", "UploadId": upload_id}
    assert refused(404, "NoSuchUpload", s3.abort_multipart_upload, Bucket=bucket, **arguments)["UploadId"] == upload_id
    refused(404, "NoSuchBucket", s3.abort_multipart_upload, Bucket="missing-bucket", **arguments)


def test_abort_multipart_upload_of_another_key_is_refused(s3: Any, bucket: str) -> None:
    upload_id = begin(s3, bucket, "k")
    refused(404, "NoSuchUpload", s3.abort_multipart_upload, Bucket=bucket, Key="other", UploadId=upload_id)
    assert [upload["UploadId"] for upload in s3.list_multipart_uploads(Bucket=bucket)["Uploads"]] == [upload_id]


def test_abort_multipart_upload_in_a_bucket_to_be_deleted(s3: Any) -> None:
    name = "with-an-upload-under-way"
    s3.create_bucket(Bucket=name)
    upload_id = begin(s3, name, "k")
    send(s3, name, "k", upload_id, {1: b"x"})
    s3.delete_bucket(Bucket=name)  # B020: uploads do not count as content
    refused(404, "NoSuchBucket", s3.abort_multipart_upload, Bucket=name, Key="k", UploadId=upload_id)
