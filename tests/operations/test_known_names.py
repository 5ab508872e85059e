"""Header and parameter names are known only where an operation reads them (D70)."""

from typing import Any

import pytest

from ..helpers import keys_of, read, refusal_of, status_of
from ..raw import RawClient

# Headers (B132, D70)


@pytest.mark.parametrize(
    ("method", "level", "query"),
    [
        *(("GET", "service", ""), ("GET", "bucket", ""), ("GET", "bucket", "list-type=2"), ("GET", "bucket", "location=")),
        *(("HEAD", "bucket", ""), ("GET", "bucket", "uploads="), ("GET", "object", ""), ("HEAD", "object", "")),
        *(("PUT", "object", ""), ("POST", "object", "uploads="), ("DELETE", "object", ""), ("PUT", "new", "")),
    ],
)
@pytest.mark.parametrize(
    "header",
    [
        ("x-amz-api-version", "2006-03-01"),
        ("x-amz-of-tomorrow", "1"),
        ("x-amz-request-payer", "requester"),
        ("x-amz-optional-object-attributes", "RestoreStatus"),
        ("x-amz-user-agent", "aws-sdk-js/3"),
    ],
    ids=lambda header: header[0],
)
def test_unknown_header_is_ignored(
    s3: Any, raw: RawClient, bucket: str, method: str, level: str, query: str, header: tuple[str, str]
) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"a")
    path = {"service": "/", "bucket": f"/{bucket}", "object": f"/{bucket}/a", "new": f"/{bucket}-new"}[level]
    try:
        response = raw.send(method, path, query, headers=[header], body=b"b" if (method, level) == ("PUT", "object") else b"")
        assert response.status in (200, 204)
    finally:
        if level == "new":
            s3.delete_bucket(Bucket=f"{bucket}-new")
    unsigned = raw.send(method, path, query, unsigned_headers=[header, ("Content-Length", "0")])
    assert unsigned.status == 403  # B095


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("x-amz-acl", "private"), ("x-amz-acl", "bucket-owner-full-control"), ("x-amz-storage-class", "STANDARD")),
        *(("x-amz-object-lock-legal-hold", "OFF"), ("x-amz-tagging", ""), ("x-amz-website-redirect-location", "")),
        *(("x-amz-server-side-encryption-bucket-key-enabled", "false"), ("x-amz-tagging-directive", "COPY")),
        ("x-amz-request-payer", "requester"),
    ],
)
def test_header_that_states_the_default_is_accepted(s3: Any, raw: RawClient, bucket: str, name: str, value: str) -> None:
    assert raw.send("PUT", f"/{bucket}/a", headers=[(name, value)], body=b"a").status == 200
    assert raw.send("PUT", f"/{bucket}/b", headers=[("x-amz-copy-source", f"{bucket}/a"), (name, value)]).status == 200
    assert raw.send("POST", f"/{bucket}/c", "uploads=", headers=[(name, value)]).status == 200
    assert raw.send("PUT", f"/{bucket}/d", raw.presign("PUT", f"/{bucket}/d", f"{name}={value}"), signed=False).status == 200


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        *(("x-amz-bucket-object-lock-enabled", "false", 200), ("x-amz-bucket-object-lock-enabled", "true", 501)),
        *(("x-amz-object-ownership", "BucketOwnerEnforced", 200), ("x-amz-object-ownership", "ObjectWriter", 501)),
        *(("x-amz-object-ownership", "nonsense", 400), ("x-amz-acl", "private", 200), ("x-amz-acl", "public-read", 501)),
        *(("x-amz-acl", "nonsense", 400), ("x-amz-grant-read", 'id="1"', 501), ("x-amz-bucket-namespace", "global", 200)),
        ("x-amz-bucket-namespace", "account-regional", 501),
    ],
)
def test_create_bucket_header_beyond_the_default_is_refused(
    s3: Any, raw: RawClient, bucket: str, name: str, value: str, status: int
) -> None:
    made = f"{bucket}-new"
    try:
        assert raw.send("PUT", f"/{made}", headers=[(name, value)]).status == status
    finally:
        if status == 200:
            s3.delete_bucket(Bucket=made)
    assert made not in [entry["Name"] for entry in s3.list_buckets()["Buckets"]]


@pytest.mark.parametrize(
    ("method", "query", "name"),
    [
        *(("GET", "", "x-amz-tagging"), ("GET", "", "x-amz-acl"), ("DELETE", "", "x-amz-tagging")),
        *(("DELETE", "", "x-amz-storage-class"), ("GET", "", "x-amz-object-lock-mode"), ("PUT", "", "x-amz-tagging-directive")),
        *(("PUT", "", "x-amz-copy-source-if-match"), ("PUT", "", "x-amz-bypass-governance-retention")),
        ("POST", "uploads=", "x-amz-mp-object-size"),
    ],
)
def test_header_of_another_operation_is_ignored(s3: Any, raw: RawClient, bucket: str, method: str, query: str, name: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"a")
    assert raw.send(method, f"/{bucket}/a", query, headers=[(name, "nonsense")]).status in (200, 204)


@pytest.mark.parametrize("name", ["x-amz-if-match-size", "x-amz-if-match-last-modified-time"])
def test_delete_object_with_a_condition_that_is_not_implemented_is_refused(
    s3: Any, raw: RawClient, bucket: str, name: str
) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"a")
    refused = refusal_of(raw.send("DELETE", f"/{bucket}/a", headers=[(name, "1")]))
    assert (refused.status, refused.fields) == (501, {"Header": name})  # B065
    assert keys_of(s3, bucket) == ["a"]


# The owner of a copy's source


@pytest.mark.parametrize("owner", ["0" * 64, "nonsense", ""])
def test_copy_from_a_bucket_of_another_owner_is_refused(s3: Any, raw: RawClient, bucket: str, owner: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"a")
    headers = [("x-amz-copy-source", f"{bucket}/a"), ("x-amz-source-expected-bucket-owner", owner)]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="p")["UploadId"]
    assert raw.send("PUT", f"/{bucket}/b", headers=headers).status in (400, 403)
    assert raw.send("PUT", f"/{bucket}/p", f"partNumber=1&uploadId={upload}", headers=headers).status in (400, 403)
    assert raw.send("PUT", f"/{bucket}/b", raw.presign("PUT", f"/{bucket}/b", "", headers), headers, signed=False).status in (
        400,
        403,
    )
    assert keys_of(s3, bucket) == ["a"]
    assert "Parts" not in s3.list_parts(Bucket=bucket, Key="p", UploadId=upload)


# Query parameters


@pytest.mark.parametrize("value", ["nonsense", "null", ""])
@pytest.mark.parametrize("operation", ["put", "copy", "create", "part", "complete"])
def test_write_of_a_version_is_refused(s3: Any, raw: RawClient, bucket: str, operation: str, value: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"kept")
    upload = s3.create_multipart_upload(Bucket=bucket, Key="a")["UploadId"]
    method, query, headers = {
        "put": ("PUT", "", []),
        "copy": ("PUT", "", [("x-amz-copy-source", f"{bucket}/a")]),
        "create": ("POST", "uploads=", []),
        "part": ("PUT", f"partNumber=1&uploadId={upload}", []),
        "complete": ("POST", f"uploadId={upload}", []),
    }[operation]
    refused = refusal_of(raw.send(method, f"/{bucket}/a", f"{query}&versionId={value}".lstrip("&"), headers=headers, body=b""))
    assert (refused.status, refused.code) == (400, "InvalidArgument")
    assert refused.message == "This operation does not accept a version-id."  # B133
    assert read(s3, bucket, "a") == b"kept"
    assert len(s3.list_multipart_uploads(Bucket=bucket)["Uploads"]) == 1


@pytest.mark.parametrize(
    ("method", "level", "query"),
    [
        *(("PUT", "object", "prefix=a"), ("PUT", "object", "max-keys=1"), ("DELETE", "object", "response-expires=a")),
        *(("DELETE", "bucket", "prefix=a"), ("PUT", "object", "marker="), ("DELETE", "object", "list-type=2")),
        *(("PUT", "object", "If-None-Match=*"), ("PUT", "object", "x-amz-acl=private"), ("PUT", "new", "versioned=1")),
    ],
)
def test_write_with_a_parameter_of_another_operation_is_refused(
    s3: Any, raw: RawClient, bucket: str, method: str, level: str, query: str
) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"kept")
    path = {"bucket": f"/{bucket}", "object": f"/{bucket}/a", "new": f"/{bucket}-new"}[level]
    refused = refusal_of(raw.send(method, path, query.replace("*", "%2A")))
    assert (refused.status, refused.code, refused.fields) == (501, "NotImplemented", {"Parameter": query.partition("=")[0]})
    assert query.partition("=")[0] in refused.message
    assert read(s3, bucket, "a") == b"kept"


@pytest.mark.parametrize(("level", "query"), [("object", "prefix=a"), ("object", "list-type=2"), ("bucket", "versionId=a")])
def test_read_with_a_parameter_of_another_operation_ignores_it(
    s3: Any, raw: RawClient, bucket: str, level: str, query: str
) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"a")
    response = raw.send("GET", {"bucket": f"/{bucket}", "object": f"/{bucket}/a"}[level], query)
    assert response.status == 200 and (response.body == b"a") == (level == "object")


# Bucket headers of listings


@pytest.mark.parametrize("query", ["", "list-type=2", "max-keys=0", "list-type=2&prefix=none", "delimiter=%2F"])
def test_listing_returns_the_region(s3: Any, raw: RawClient, bucket: str, query: str) -> None:
    assert raw.send("GET", f"/{bucket}", query).headers["x-amz-bucket-region"] == "us-east-1"  # B135
    assert status_of(s3.list_objects(Bucket=bucket)) == 200


# Storage classes (B035)


@pytest.mark.parametrize(
    "name", ["STANDARD_IA", "ONEZONE_IA", "GLACIER", "DEEP_ARCHIVE", "INTELLIGENT_TIERING", "REDUCED_REDUNDANCY", "GLACIER_IR"]
)
def test_storage_class_without_a_storage_is_501_and_named(s3: Any, raw: RawClient, bucket: str, name: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"a")
    header = ("x-amz-storage-class", name)
    for method, key, query, headers in [
        ("PUT", "b", "", []),
        ("PUT", "b", "", [("x-amz-copy-source", f"{bucket}/a")]),
        ("POST", "b", "uploads=", []),
    ]:
        refused = refusal_of(raw.send(method, f"/{bucket}/{key}", query, [*headers, header], b"b" if not headers else b""))
        assert (refused.status, refused.code) == (501, "NotImplemented")
        assert name in refused.message and refused.fields == {"Header": "x-amz-storage-class"}
        refused = refusal_of(raw.send(method, f"/{bucket}/{key}", query, [*headers, ("x-amz-storage-class", name.lower())]))
        assert (refused.status, refused.code) == (400, "InvalidStorageClass")
        assert refused.fields == {"StorageClassRequested": name.lower()}
    assert keys_of(s3, bucket) == ["a"]
