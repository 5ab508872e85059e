"""ListBuckets: GET /."""

import uuid
from typing import Any
from xml.etree import ElementTree

import pytest

from ..helpers import NAMESPACE, refusal, refusal_of
from ..raw import RawClient
from ..servers import Server


@pytest.fixture
def prefix(s3: Any) -> Any:
    """Create four buckets with a common prefix and yield the prefix."""
    prefix = f"listed-{uuid.uuid4().hex[:8]}-"
    for name in "dbac":
        s3.create_bucket(Bucket=prefix + name)
    yield prefix
    for name in "abcd":
        s3.delete_bucket(Bucket=prefix + name)


def test_list_buckets_returns_name_date_and_arn_in_order_of_names(raw: RawClient, prefix: str) -> None:
    # B021
    response = raw.send("GET", "/")
    assert response.status == 200
    assert response.headers["content-type"] == "application/xml"
    assert response.headers["x-amz-request-id"] and response.headers["x-amz-id-2"] and response.headers["date"]
    root = ElementTree.fromstring(response.body)
    assert root.tag == f"{NAMESPACE}ListAllMyBucketsResult"
    assert [child.tag.removeprefix(NAMESPACE) for child in root] == ["Owner", "Buckets"]
    assert [child.tag.removeprefix(NAMESPACE) for child in root[0]] == ["ID"]
    assert len(root[0][0].text or "") == 64
    buckets = [{child.tag.removeprefix(NAMESPACE): child.text for child in bucket} for bucket in root[1]]
    names = [bucket["Name"] for bucket in buckets]
    assert names == sorted(names)
    assert [name for name in names if name.startswith(prefix)] == [prefix + name for name in "abcd"]
    for bucket in buckets:
        assert set(bucket) == {"Name", "CreationDate", "BucketArn"}
        assert bucket["BucketArn"] == f"arn:aws:s3:::{bucket['Name']}"
        assert bucket["CreationDate"].endswith(".000Z")


def test_list_buckets_with_prefix_echoes_it_and_returns_regions(s3: Any, prefix: str) -> None:
    # B021
    answer = s3.list_buckets(Prefix=prefix)
    assert [bucket["Name"] for bucket in answer["Buckets"]] == [prefix + name for name in "abcd"]
    assert {bucket["BucketRegion"] for bucket in answer["Buckets"]} == {"us-east-1"}
    assert answer["Prefix"] == prefix
    assert "ContinuationToken" not in answer
    assert s3.list_buckets(Prefix=prefix.upper())["Buckets"] == []


def test_list_buckets_page_by_page_returns_each_once(s3: Any, prefix: str) -> None:
    first = s3.list_buckets(Prefix=prefix, MaxBuckets=3)
    assert [bucket["Name"] for bucket in first["Buckets"]] == [prefix + name for name in "abc"]
    second = s3.list_buckets(Prefix=prefix, MaxBuckets=3, ContinuationToken=first["ContinuationToken"])
    assert [bucket["Name"] for bucket in second["Buckets"]] == [prefix + "d"]
    assert "ContinuationToken" not in second
    assert "ContinuationToken" not in s3.list_buckets(Prefix=prefix, MaxBuckets=4)


def test_list_buckets_with_empty_continuation_token_is_like_without(s3: Any, prefix: str) -> None:
    # B022
    answer = s3.list_buckets(Prefix=prefix, ContinuationToken="")
    assert len(answer["Buckets"]) == 4


def test_list_buckets_with_wrong_continuation_token_is_refused(s3: Any) -> None:
    refused = refusal(s3.list_buckets, ContinuationToken="nonsense")
    assert (refused.status, refused.code) == (400, "InvalidArgument")
    assert refused.message == "The continuation token provided is incorrect"
    assert refused.fields == {"ArgumentName": "continuation-token"}


@pytest.mark.parametrize("value", ["0", "-1", "x", "99999999999"])
def test_list_buckets_with_wrong_max_buckets_is_refused(raw: RawClient, value: str) -> None:
    refused = refusal_of(raw.send("GET", "/", f"max-buckets={value}"))
    assert (refused.status, refused.code) == (400, "InvalidArgument")
    assert refused.fields == {"ArgumentName": "max-buckets", "ArgumentValue": value}


def test_list_buckets_with_bucket_region_returns_those_of_that_region(s3: Any, prefix: str) -> None:
    assert len(s3.list_buckets(Prefix=prefix, BucketRegion="us-east-1")["Buckets"]) == 4
    assert s3.list_buckets(Prefix=prefix, BucketRegion="eu-west-1")["Buckets"] == []


def test_list_buckets_of_a_browser_without_credentials_redirects_to_the_console(raw: RawClient, server: Server) -> None:
    response = raw.send("GET", "/", headers=[("Accept", "text/html,*/*")], signed=False)
    assert response.status == 302
    assert response.headers["location"] == f"{server.console_url}/_/admin/"
