"""HeadBucket: HEAD /bucket."""

import uuid
from typing import Any

import pytest

from ..helpers import headers_of, query, refusal, status_of
from ..raw import RawClient
from ..servers import Server


def test_head_bucket_returns_region_and_arn(s3: Any, bucket: str) -> None:
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


def test_head_bucket_that_is_missing_returns_404_without_body(s3: Any, raw: RawClient) -> None:
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


@pytest.mark.parametrize(
    ("location", "region"),
    [("EU", "eu-west-1"), ("eu-west-1", "eu-west-1"), ("eu-central-1", "eu-central-1"), (None, "us-east-1")],
)
def test_head_bucket_and_list_buckets_name_the_region_of_a_location(s3: Any, location: str | None, region: str) -> None:
    name = f"placed-{uuid.uuid4().hex[:16]}"
    arguments = {"CreateBucketConfiguration": {"LocationConstraint": location}} if location else {}
    s3.create_bucket(Bucket=name, **arguments)
    assert headers_of(s3.head_bucket(Bucket=name))["x-amz-bucket-region"] == region  # B147
    assert headers_of(s3.list_objects_v2(Bucket=name))["x-amz-bucket-region"] == region  # B135
    assert s3.get_bucket_location(Bucket=name)["LocationConstraint"] == location  # B015
    [listed] = s3.list_buckets(Prefix=name)["Buckets"]
    assert listed["BucketRegion"] == region
    assert [found["Name"] for found in s3.list_buckets(Prefix=name, BucketRegion=region)["Buckets"]] == [name]
    assert s3.list_buckets(Prefix=name, BucketRegion="ca-west-1")["Buckets"] == []
    s3.delete_bucket(Bucket=name)
