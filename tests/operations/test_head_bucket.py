"""HeadBucket: HEAD /bucket."""

from typing import Any

import pytest

from ..helpers import headers_of, query, refusal, status_of
from ..raw import RawClient
from ..servers import Server


def test_head_bucket_tells_region_and_arn(s3: Any, bucket: str) -> None:
    # B018
    answer = s3.head_bucket(Bucket=bucket)
    assert status_of(answer) == 200
    headers = headers_of(answer)
    assert headers["x-amz-bucket-region"] == "us-east-1"
    assert headers["x-amz-access-point-alias"] == "false"
    assert headers["x-amz-bucket-arn"] == f"arn:aws:s3:::{bucket}"
    assert headers["content-type"] == "application/xml"


@pytest.mark.parametrize("end", ["", "/"])
def test_head_bucket_has_no_body(raw: RawClient, bucket: str, end: str) -> None:
    response = raw.send("HEAD", f"/{bucket}{end}")
    assert (response.status, response.headers["content-length"]) == (200, "0")


def test_head_bucket_that_is_missing_answers_404_without_body(s3: Any, raw: RawClient) -> None:
    refused = refusal(s3.head_bucket, Bucket="missing-bucket")
    assert (refused.status, refused.code) == (404, "404")
    response = raw.send("HEAD", "/missing-bucket")
    assert (response.status, response.headers.get("content-length", "0")) == (404, "0")
    assert response.headers["x-amz-request-id"]


def test_head_bucket_without_credentials_is_refused(raw: RawClient, bucket: str) -> None:
    assert raw.send("HEAD", f"/{bucket}", signed=False).status == 403


def test_head_bucket_owned_by_another_than_expected_is_refused(s3: Any, server: Server, bucket: str) -> None:
    ((account,),) = query(server, "SELECT account_id FROM post3_account")  # B153
    assert status_of(s3.head_bucket(Bucket=bucket, ExpectedBucketOwner=account)) == 200
    assert refusal(s3.head_bucket, Bucket=bucket, ExpectedBucketOwner="0" * 12).status == 403
