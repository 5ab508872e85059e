"""HeadObject: HEAD /bucket/key. See test_get_object.py for conditions, ranges and checksums."""

import os
from typing import Any

import pytest

from ..helpers import etag_of, refusal, status_of
from ..raw import RawClient

MIB = 1 << 20


@pytest.mark.parametrize("size", [0, 11, 3 * MIB])
def test_head_object_returns_the_headers_of_get(s3: Any, raw: RawClient, bucket: str, size: int) -> None:
    body = os.urandom(size)
    s3.put_object(
        Bucket=bucket, Key="a", Body=body, ContentType="text/plain", Metadata={"color": "blue"}, CacheControl="no-store"
    )
    head, get = raw.send("HEAD", f"/{bucket}/a"), raw.send("GET", f"/{bucket}/a")
    assert (head.status, head.body) == (200, b"")
    assert (head.headers["content-length"], head.headers["etag"]) == (str(size), etag_of(body))
    assert (head.headers["x-amz-meta-color"], head.headers["content-type"]) == ("blue", "text/plain")
    for headers in (head.headers, get.headers):
        for name in ("x-amz-request-id", "x-amz-id-2", "date"):
            del headers[name]
    assert head.headers == get.headers


def test_head_object_of_a_missing_key_has_no_body(s3: Any, raw: RawClient, bucket: str) -> None:
    # B004
    refused = refusal(s3.head_object, Bucket=bucket, Key="missing")
    assert (refused.status, refused.code) == (404, "404")
    response = raw.send("HEAD", f"/{bucket}/missing")
    assert (response.status, response.headers.get("content-length", "0")) == (404, "0")
    assert response.headers["x-amz-request-id"]


def test_head_object_of_a_missing_bucket_is_refused(s3: Any) -> None:
    assert refusal(s3.head_object, Bucket="missing-bucket", Key="a").status == 404


def test_head_object_with_a_range_returns_its_length(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"hello world")
    answer = s3.head_object(Bucket=bucket, Key="a", Range="bytes=4-7")
    assert (status_of(answer), answer["ContentLength"], answer["ContentRange"]) == (206, 4, "bytes 4-7/11")
    assert refusal(s3.head_object, Bucket=bucket, Key="a", Range="bytes=11-").status == 416


def test_head_object_with_a_part_number(s3: Any, bucket: str) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="a")["UploadId"]
    parts = []
    for number, size in ((1, 5 * MIB), (2, 7)):
        part = s3.upload_part(Bucket=bucket, Key="a", UploadId=upload, PartNumber=number, Body=b"x" * size)
        parts.append({"PartNumber": number, "ETag": part["ETag"]})
    s3.complete_multipart_upload(Bucket=bucket, Key="a", UploadId=upload, MultipartUpload={"Parts": parts})
    answer = s3.head_object(Bucket=bucket, Key="a", PartNumber=2)
    assert (status_of(answer), answer["ContentLength"], answer["PartsCount"]) == (206, 7, 2)
    assert answer["ContentRange"] == f"bytes {5 * MIB}-{5 * MIB + 6}/{5 * MIB + 7}"
    assert refusal(s3.head_object, Bucket=bucket, Key="a", PartNumber=3).status == 416
    whole = s3.head_object(Bucket=bucket, Key="a")
    assert (whole["ContentLength"], whole["ETag"][-3:]) == (5 * MIB + 7, '-2"')
    assert "PartsCount" not in whole


def test_head_object_with_conditions_that_fail(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"a")
    assert refusal(s3.head_object, Bucket=bucket, Key="a", IfMatch=etag_of(b"b")).status == 412
    assert refusal(s3.head_object, Bucket=bucket, Key="a", IfNoneMatch=etag_of(b"a")).status == 304


def test_head_object_with_a_wrong_version_is_refused(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"a")
    assert refusal(s3.head_object, Bucket=bucket, Key="a", VersionId="nonsense").status == 400
    assert status_of(s3.head_object(Bucket=bucket, Key="a", VersionId="null")) == 200
