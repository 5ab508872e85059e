"""DeleteBucket and CreateBucket, concurrent with other operations on the same bucket: no response is a server error."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from ..helpers import status_of
from .multipart import begin, send

ROUNDS = 25
Answer = tuple[int, str]
Write = Callable[[], Any]

GONE, DONE = (404, "NoSuchBucket"), (204, "")


def answer_of(call: Write) -> Answer:
    """Call boto3. Return the status and the error code, "" for success."""
    try:
        return status_of(call()), ""
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]


def at_once(*calls: Write) -> list[Answer]:
    barrier = threading.Barrier(len(calls))

    def run(call: Write) -> Answer:
        barrier.wait(30)
        return answer_of(call)

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(run, calls))


class Bucket:
    """A bucket with an upload in progress, and the calls that may collide with its deletion."""

    def __init__(self, s3: Any, source: str) -> None:
        self.s3, self.name = s3, f"raced-{uuid4().hex[:16]}"
        s3.create_bucket(Bucket=self.name)
        upload_id = begin(s3, self.name, "k")
        parts = send(s3, self.name, "k", upload_id, {1: b"x"})
        at = {"Bucket": self.name, "Key": "k"}
        part = {**at, "UploadId": upload_id, "PartNumber": 1}
        copied = {"CopySource": {"Bucket": source, "Key": "source"}}
        self.calls: dict[str, Write] = {
            "PutObject": lambda: s3.put_object(**at, Body=b"x"),
            "PutObject of 2 MiB": lambda: s3.put_object(**at, Body=bytes(2 << 20)),
            "PutObject under a condition": lambda: s3.put_object(**at, Body=b"x", IfNoneMatch="*"),
            "PutObject with metadata": lambda: s3.put_object(**at, Body=b"x", Metadata={"a": "b"}),
            "CopyObject": lambda: s3.copy_object(**at, **copied),
            "CreateMultipartUpload": lambda: s3.create_multipart_upload(**at),
            "CreateMultipartUpload with metadata": lambda: s3.create_multipart_upload(**at, Metadata={"a": "b"}),
            "UploadPart": lambda: s3.upload_part(**part, Body=b"y"),
            "UploadPart of 2 MiB": lambda: s3.upload_part(**part, Body=bytes(2 << 20)),
            "UploadPartCopy": lambda: s3.upload_part_copy(**part, **copied),
            "CompleteMultipartUpload": lambda: s3.complete_multipart_upload(
                **at, UploadId=upload_id, MultipartUpload={"Parts": parts}
            ),
            "AbortMultipartUpload": lambda: s3.abort_multipart_upload(**at, UploadId=upload_id),
            "ListParts": lambda: s3.list_parts(**at, UploadId=upload_id),
            "ListMultipartUploads": lambda: s3.list_multipart_uploads(Bucket=self.name),
            "ListObjectsV2": lambda: s3.list_objects_v2(Bucket=self.name),
            "DeleteObject": lambda: s3.delete_object(**at),
            "DeleteObjects": lambda: s3.delete_objects(Bucket=self.name, Delete={"Objects": [{"Key": "k"}, {"Key": "l"}]}),
        }

    def delete(self) -> Any:
        return self.s3.delete_bucket(Bucket=self.name)

    def clear(self) -> None:
        if answer_of(self.delete) == (409, "BucketNotEmpty"):
            self.s3.delete_object(Bucket=self.name, Key="k")
            self.delete()


CALLS = (
    *("PutObject", "PutObject of 2 MiB", "PutObject under a condition", "PutObject with metadata", "CopyObject"),
    *("CreateMultipartUpload", "CreateMultipartUpload with metadata", "UploadPart", "UploadPart of 2 MiB", "UploadPartCopy"),
    *("CompleteMultipartUpload", "AbortMultipartUpload", "ListParts", "ListMultipartUploads", "ListObjectsV2", "DeleteObject"),
    "DeleteObjects",
)


@pytest.mark.parametrize("name", CALLS)
def test_delete_bucket_against_another_call(s3: Any, bucket: str, name: str) -> None:
    s3.put_object(Bucket=bucket, Key="source", Body=b"source")
    makes_object = name.startswith(("PutObject", "CopyObject", "CompleteMultipartUpload"))
    for _ in range(ROUNDS):
        raced = Bucket(s3, bucket)
        call = raced.calls[name]
        answers = at_once(call, call, raced.delete)
        *called, deleted = answers
        # A deleted bucket takes its uploads with it. A client that completes or aborts an upload too late finds it gone
        # or completed.
        fine = {(200, ""), (204, ""), GONE, (404, "NoSuchUpload"), (412, "PreconditionFailed")}
        assert set(called) <= fine, answers
        assert deleted in (DONE, (409, "BucketNotEmpty")), answers
        if makes_object:
            assert (deleted == DONE) == ((200, "") not in called), answers
        raced.clear()


def test_delete_bucket_against_everything_at_once(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="source", Body=b"source")
    for _ in range(10):
        raced = Bucket(s3, bucket)
        answers = at_once(*raced.calls.values(), raced.delete, raced.delete)
        assert all(status < 500 for status, _ in answers), answers
        raced.clear()


def test_create_bucket_by_several_clients_at_once_creates_one(s3: Any) -> None:
    for constraint in ({}, {"CreateBucketConfiguration": {"LocationConstraint": "eu-west-1"}}):
        for _ in range(5):
            name = f"raced-{uuid4().hex[:16]}"
            answers = at_once(*[lambda name=name, constraint=constraint: s3.create_bucket(Bucket=name, **constraint)] * 6)
            others = (409, "BucketAlreadyOwnedByYou") if constraint else (200, "")  # B011
            assert sorted(answers) == [(200, ""), *[others] * 5]
            s3.delete_bucket(Bucket=name)


def test_create_bucket_against_delete_bucket_of_that_name(s3: Any) -> None:
    name = f"raced-{uuid4().hex[:16]}"
    for _ in range(ROUNDS):
        calls = [lambda: s3.create_bucket(Bucket=name), lambda: s3.delete_bucket(Bucket=name)] * 3
        answers = at_once(*calls)
        assert set(answers[::2]) == {(200, "")}, answers
        assert set(answers[1::2]) <= {DONE, GONE}, answers
    answer_of(lambda: s3.delete_bucket(Bucket=name))
