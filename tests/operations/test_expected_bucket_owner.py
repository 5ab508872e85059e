"""`x-amz-expected-bucket-owner`: the twelve digits of the bucket owner's account (B153)."""

import json
from typing import Any

import pytest

from ..helpers import query, refusal, refusal_of, status_of
from ..raw import RawClient
from ..servers import Server


@pytest.fixture(scope="module")
def account(server: Server) -> str:
    keys = json.loads(server.manage("list_api_keys", "--json"))
    (found,) = {key["account"] for key in keys}
    assert len(found) == 12 and found.isdigit() and found.isascii() and found[0] != "0"
    return found


def calls(s3: Any, bucket: str) -> list[tuple[Any, dict[str, Any]]]:
    there, upload = {"Bucket": bucket, "Key": "a"}, {"Bucket": bucket, "Key": "b"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    return [
        (s3.put_object, {**there, "Body": b"x"}),
        (s3.get_object, there),
        (s3.head_object, there),
        (s3.list_objects_v2, {"Bucket": bucket}),
        (s3.list_objects, {"Bucket": bucket}),
        (s3.head_bucket, {"Bucket": bucket}),
        (s3.get_bucket_location, {"Bucket": bucket}),
        (s3.copy_object, {"Bucket": bucket, "Key": "c", "CopySource": there}),
        (s3.upload_part, {**upload, "PartNumber": 1, "Body": b"x"}),
        (s3.list_parts, upload),
        (s3.list_multipart_uploads, {"Bucket": bucket}),
        (s3.delete_object, there),
        (s3.delete_objects, {"Bucket": bucket, "Delete": {"Objects": [{"Key": "a"}]}}),
        (s3.abort_multipart_upload, upload),
    ]


def test_account_of_the_owner_is_let_through(s3: Any, bucket: str, account: str) -> None:
    for call, arguments in calls(s3, bucket):
        assert status_of(call(**arguments, ExpectedBucketOwner=account)) < 300


def test_another_account_is_refused_and_nothing_is_done(s3: Any, bucket: str, account: str) -> None:
    other = f"{(int(account) + 1) % 10**12:012}"
    s3.put_object(Bucket=bucket, Key="a", Body=b"kept")
    for call, arguments in calls(s3, bucket):
        assert refusal(call, **arguments, ExpectedBucketOwner=other).status == 403
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == b"kept"
    refused = refusal(s3.delete_bucket, Bucket=bucket, ExpectedBucketOwner="0" * 12)
    assert (refused.status, refused.code) == (403, "AccessDenied")


@pytest.mark.parametrize("value", ["", "abcd", "1234", "1234567890123", "12345678901a", "-12345678901", "٠١٢٣٤٥٦٧٨٩٠١", "f" * 64])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_an_invalid_account_id_is_refused(bucket: str, raw: RawClient, method: str, value: str) -> None:
    refused = refusal_of(raw.send(method, f"/{bucket}/a", headers=[("x-amz-expected-bucket-owner", value)]))
    assert (refused.status, refused.code) == (400, "InvalidBucketOwnerAWSAccountID")
    assert refused.message == f"The value of the expected bucket owner parameter must be an AWS Account ID... [{value}]"


def test_expected_owner_of_a_missing_bucket(raw: RawClient, account: str) -> None:
    refused = refusal_of(raw.send("GET", "/missing-bucket", headers=[("x-amz-expected-bucket-owner", account)]))
    assert (refused.status, refused.code) == (404, "NoSuchBucket")


def test_account_id_stays_the_same(server: Server, account: str) -> None:
    server.manage("migrate", "--no-input", "-v", "0")
    made = json.loads(server.manage("create_api_key", "--user", "tester", "--json"))
    assert made["AWS_ACCOUNT_ID"] == account
    assert query(server, "SELECT account_id FROM post3_account") == [(account,)]
