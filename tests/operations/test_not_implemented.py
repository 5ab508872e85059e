"""Unimplemented features are reported, never ignored: 501 for operations, subresources and headers, 405 for methods."""

from typing import Any

import pytest

from post3.api import operations

from ..helpers import keys_of, read, refusal_of
from ..raw import RawClient

MESSAGE = "A header you provided implies functionality that is not implemented"
#: The (level, shape) of every row of the table that has no view.
ROWS = [
    (level, shape)
    for level, table in (("service", operations.SERVICE), ("bucket", operations.BUCKET), ("object", operations.OBJECT))
    for shape, operation in table.items()
    if operation.view is None
]


def path_at(level: str, bucket: str) -> str:
    return {"service": "/", "bucket": f"/{bucket}", "object": f"/{bucket}/a"}[level]


@pytest.mark.parametrize(("level", "shape"), ROWS, ids=[f"{level} {shape}" for level, shape in ROWS])
def test_not_implemented_operation_is_501(s3: Any, raw: RawClient, bucket: str, level: str, shape: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"kept")
    method, _, rest = shape.partition(" ")
    query = rest.removeprefix("?")
    refused = refusal_of(raw.send(method, path_at(level, bucket), query, body=b"" if method in ("GET", "DELETE") else b"<A/>"))
    name = operations.TABLES[level.upper()][shape].name
    assert (refused.status, refused.code, refused.message) == (501, "NotImplemented", f"{name} is not implemented.")
    assert read(s3, bucket, "a") == b"kept"


def test_not_implemented_rows_exist() -> None:
    assert ("bucket", "PUT ?versioning") in ROWS or len(ROWS) < 60


@pytest.mark.parametrize("level", ["service", "bucket", "object"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "POST", "DELETE"])
def test_not_implemented_unknown_subresource_is_501(s3: Any, raw: RawClient, bucket: str, method: str, level: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"kept")
    response = raw.send(method, path_at(level, bucket), "nonsense")
    assert response.status == 501
    if method != "HEAD":
        refused = refusal_of(response)
        assert (refused.code, refused.fields) == ("NotImplemented", {"Parameter": "nonsense"})
    assert read(s3, bucket, "a") == b"kept"


@pytest.mark.parametrize("method", ["PUT", "POST", "DELETE"])
def test_not_implemented_unknown_parameter_with_a_value_on_a_write_is_501(
    s3: Any, raw: RawClient, bucket: str, method: str
) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"kept")
    refused = refusal_of(raw.send(method, f"/{bucket}/a", "nonsense=1"))
    assert (refused.status, refused.code) == (501, "NotImplemented")
    assert read(s3, bucket, "a") == b"kept"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
        ("x-amz-server-side-encryption-customer-key", "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="),
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-server-side-encryption-aws-kms-key-id", "a-key"),
        ("x-amz-tagging", "a=b"),
        ("x-amz-website-redirect-location", "/b"),
        ("x-amz-object-lock-mode", "GOVERNANCE"),
        ("x-amz-object-lock-legal-hold", "ON"),
        ("x-amz-grant-read", 'uri="http://acs.amazonaws.com/groups/global/AllUsers"'),
        ("x-amz-acl", "public-read"),
        ("x-amz-write-offset-bytes", "4"),
    ],
)
def test_not_implemented_header_is_501_and_stores_nothing(s3: Any, raw: RawClient, bucket: str, name: str, value: str) -> None:
    for size in (3, 2 << 20):
        refused = refusal_of(raw.send("PUT", f"/{bucket}/a", headers=[(name, value)], body=b"x" * size))
        assert (refused.status, refused.code, refused.message) == (501, "NotImplemented", MESSAGE)
        assert refused.fields == {"Header": name}
    assert keys_of(s3, bucket) == []


def test_not_implemented_customer_key_on_a_read_is_501(s3: Any, raw: RawClient, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"a")
    for method in ("GET", "HEAD"):
        headers = [("x-amz-server-side-encryption-customer-algorithm", "AES256")]
        assert raw.send(method, f"/{bucket}/a", headers=headers).status == 501


@pytest.mark.parametrize(
    ("level", "allowed"), [("service", "GET"), ("bucket", "DELETE, GET, HEAD, POST, PUT"), ("object", "DELETE, GET, HEAD, PUT")]
)
@pytest.mark.parametrize("method", ["PATCH", "PROPFIND"])
def test_not_implemented_unknown_method_is_405(
    s3: Any, raw: RawClient, bucket: str, method: str, level: str, allowed: str
) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"kept")
    refused = refusal_of(raw.send(method, path_at(level, bucket), body=b"x"))
    assert (refused.status, refused.code) == (405, "MethodNotAllowed")
    assert refused.message == "The specified method is not allowed against this resource."
    assert refused.fields == {"Method": method, "ResourceType": level.upper()}
    assert refused.headers["allow"] == allowed  # B008
    assert read(s3, bucket, "a") == b"kept"


@pytest.mark.parametrize(
    ("method", "level"), [("PUT", "service"), ("DELETE", "service"), ("POST", "service"), ("POST", "object")]
)
def test_not_implemented_method_of_another_level_is_405(raw: RawClient, bucket: str, method: str, level: str) -> None:
    refused = refusal_of(raw.send(method, path_at(level, bucket)))
    assert (refused.status, refused.code) == (405, "MethodNotAllowed")
    assert refused.fields == {"Method": method, "ResourceType": level.upper()}


def test_not_implemented_upload_without_a_part_number_is_405(s3: Any, raw: RawClient, bucket: str) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="a")["UploadId"]
    refused = refusal_of(raw.send("PUT", f"/{bucket}/a", f"uploadId={upload}", body=b"x"))
    assert (refused.status, refused.code) == (405, "MethodNotAllowed")  # B008
    assert refused.fields == {"Method": "PUT", "ResourceType": "UPLOAD"}
    assert keys_of(s3, bucket) == []


@pytest.mark.parametrize("query", ["id=1", "list-type=2&id=1", "location&id=1"])
def test_an_id_without_effect_is_ignored_like_any_unknown_name_of_a_read(raw: RawClient, bucket: str, query: str) -> None:
    assert raw.send("GET", f"/{bucket}", query.replace("location", "location=")).status == 200


def test_every_row_of_the_table_can_match() -> None:
    for level, table in operations.TABLES.items():
        for shape in table:
            query = shape.partition("?")[2].partition(" ")[0]
            assert query == "&".join(sorted(query.split("&"))), (level, shape)
