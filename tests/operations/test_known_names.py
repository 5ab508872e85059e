"""Names are known where an operation reads them, and nowhere else; and nobody learns of them before the signature is verified."""

from typing import Any

import pytest

from ..helpers import keys_of, read, refusal_of, status_of
from ..raw import RawClient

ACCESS_DENIED = (403, "AccessDenied")

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
def test_header_that_nobody_knows_is_ignored(
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


# The signature comes first


@pytest.mark.parametrize(
    ("method", "level", "query"),
    [
        *(("PUT", "object", "uploads"), ("PUT", "object", "tagging"), ("PUT", "object", "nonsense"), ("GET", "object", "acl")),
        *(("PUT", "object", "versionId=a"), ("DELETE", "bucket", "policy"), ("GET", "service", "nonsense")),
        *(("PATCH", "object", ""), ("POST", "object", ""), ("PUT", "object", "uploadId=a"), ("POST", "service", "")),
        ("GET", "bucket", "max-keys=nonsense"),
    ],
)
@pytest.mark.parametrize("how", ["anonymous", "wrong secret", "added to a URL"])
def test_refusal_of_a_request_that_is_not_authenticated_is_403(
    s3: Any, raw: RawClient, bucket: str, method: str, level: str, query: str, how: str
) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"kept")
    path = {"service": "/", "bucket": f"/{bucket}", "object": f"/{bucket}/a"}[level]
    if how == "wrong secret":
        raw.secret_key = "x" * 40
        refused = refusal_of(raw.send(method, path, query, body=b"x"))
        assert (refused.status, refused.code) == (403, "SignatureDoesNotMatch")
    elif how == "anonymous":
        assert (refused := refusal_of(raw.send(method, path, query, body=b"x", signed=False))).status == 403
        assert (refused.status, refused.code) == ACCESS_DENIED
    elif query:
        signed = raw.presign(method, path)
        refused = refusal_of(raw.send(method, path, f"{signed}&{query}", body=b"x", signed=False))
        assert (refused.status, refused.code) == (403, "SignatureDoesNotMatch")
    assert read(s3, bucket, "a") == b"kept"


@pytest.mark.parametrize("header", [("x-amz-tagging", "a=b"), ("x-amz-server-side-encryption", "AES256"), ("x-amz-acl", "x")])
def test_refusal_of_a_header_comes_after_the_signature(s3: Any, raw: RawClient, bucket: str, header: tuple[str, str]) -> None:
    raw.secret_key = "x" * 40
    refused = refusal_of(raw.send("PUT", f"/{bucket}/a", headers=[header], body=b"a"))
    assert (refused.status, refused.code) == (403, "SignatureDoesNotMatch")
    assert keys_of(s3, bucket) == []


@pytest.mark.parametrize(
    ("method", "query", "key"),
    [("GET", "", ""), ("GET", "list-type=2", ""), ("GET", "", "/a"), ("PUT", "", "/a"), ("DELETE", "", "/a")],
)
def test_anonymous_request_to_a_missing_bucket_is_404(raw: RawClient, bucket: str, method: str, query: str, key: str) -> None:
    missing = f"{bucket}-missing"
    refused = refusal_of(raw.send(method, f"/{missing}{key}", query, signed=False))
    assert (refused.status, refused.code, refused.fields) == (404, "NoSuchBucket", {"BucketName": missing})  # B134
    assert raw.send("HEAD", f"/{missing}{key}", signed=False).status == 404
    assert raw.send("PUT", f"/{missing}", signed=False).status == 403
    refused = refusal_of(raw.send(method, f"/{bucket}{key}", query, signed=False))
    assert (refused.status, refused.code) == ACCESS_DENIED  # B102


# Unsigned, all the same


@pytest.mark.parametrize("how", ["header", "presigned"])
def test_content_sha256_need_not_be_among_the_signed_headers(s3: Any, raw: RawClient, bucket: str, how: str) -> None:
    if how == "header":
        request = raw.sign("PUT", f"/{bucket}/a", body=b"a")
        refused = refusal_of(
            raw.send("PUT", f"/{bucket}/a", body=b"a", unsigned_headers=[("x-amz-acl", "private"), ("Content-Length", "1")])
        )
        assert refused.fields == {"HeadersNotSigned": "x-amz-acl"}
        assert "x-amz-content-sha256" in request.head().decode()
    query = raw.presign("PUT", f"/{bucket}/a")
    for value, status in [("UNSIGNED-PAYLOAD", 200), ("0" * 64, 400)]:
        answer = raw.send("PUT", f"/{bucket}/a", query, [("x-amz-content-sha256", value)], b"a", signed=False)
        assert answer.status == status  # B095
    assert read(s3, bucket, "a") == b"a"
    # The hash that a URL signs cannot be replaced by a header.
    query = raw.presign("PUT", f"/{bucket}/b", f"X-Amz-Content-Sha256={'0' * 64}")
    answer = raw.send("PUT", f"/{bucket}/b", query, [("x-amz-content-sha256", "UNSIGNED-PAYLOAD")], b"b", signed=False)
    assert answer.status in (400, 403)
    assert keys_of(s3, bucket) == ["a"]


# Conditions in a presigned URL (B131)


def put(raw: RawClient, bucket: str, query: str, headers: list[tuple[str, str]] | None = None) -> int:
    path = f"/{bucket}/a"
    return raw.send("PUT", path, raw.presign("PUT", path, query), headers or [], b"new", signed=False).status


def test_presigned_if_none_match_is_200_then_412(s3: Any, raw: RawClient, bucket: str) -> None:
    for name in ("If-None-Match", "if-none-match"):
        assert put(raw, bucket, f"{name}=%2A") == 200
        assert put(raw, bucket, f"{name}=%2A") == 412
        # Whoever holds the URL cannot take its condition away.
        assert put(raw, bucket, f"{name}=%2A", [("If-None-Match", "")]) == 412
        s3.delete_object(Bucket=bucket, Key="a")


def test_presigned_if_match_is_412_where_it_differs(s3: Any, raw: RawClient, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="a", Body=b"old")["ETag"].strip('"')
    for wrong in ("0" * 32, "%22" + "0" * 32 + "%22"):
        assert put(raw, bucket, f"If-Match={wrong}") == 412
        assert put(raw, bucket, f"If-Match={wrong}", [("If-Match", etag)]) == 412
    assert read(s3, bucket, "a") == b"old"
    assert put(raw, bucket, f"If-Match={etag}") == 200
    assert read(s3, bucket, "a") == b"new"


def test_presigned_conditions_of_a_read(s3: Any, raw: RawClient, bucket: str) -> None:
    etag = s3.put_object(Bucket=bucket, Key="a", Body=b"a")["ETag"].strip('"')
    path, past = f"/{bucket}/a", "Sat%2C%2001%20Jan%202000%2000%3A00%3A00%20GMT"
    for query, status in [
        *((f"If-None-Match={etag}", 304), (f"If-Match={etag}", 200), ("If-Match=nonsense", 412)),
        *((f"If-Unmodified-Since={past}", 412), (f"If-Modified-Since={past}", 200)),
    ]:
        assert raw.send("GET", path, raw.presign("GET", path, query), signed=False).status == status
    upload = s3.create_multipart_upload(Bucket=bucket, Key="a")["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="a", UploadId=upload, PartNumber=1, Body=b"p")
    document = (
        f"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{part['ETag']}</ETag></Part></CompleteMultipartUpload>"
    )
    query = raw.presign("POST", path, f"If-None-Match=%2A&uploadId={upload}")
    assert raw.send("POST", path, query, body=document.encode(), signed=False).status in (409, 412)


# What listings tell of their bucket


@pytest.mark.parametrize("query", ["", "list-type=2", "max-keys=0", "list-type=2&prefix=none", "delimiter=%2F"])
def test_listing_tells_the_region(s3: Any, raw: RawClient, bucket: str, query: str) -> None:
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
        assert name in refused.message
        refused = refusal_of(raw.send(method, f"/{bucket}/{key}", query, [*headers, ("x-amz-storage-class", name.lower())]))
        assert (refused.status, refused.code) == (400, "InvalidStorageClass")
        assert refused.fields == {"StorageClassRequested": name.lower()}
    assert keys_of(s3, bucket) == ["a"]


# aws-chunked in any case (RFC 9110, 8.4.1)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        *(("AWS-CHUNKED", None), ("Aws-Chunked", None), ("AWS-CHUNKED,gzip", "gzip"), ("GZIP, aws-Chunked", "GZIP")),
        *(("aws-CHUNKED, aws-chunked , br", "br"), ("x-aws-chunked", "x-aws-chunked")),
    ],
)
def test_aws_chunked_in_any_case_is_not_kept(s3: Any, raw: RawClient, bucket: str, sent: str, kept: str | None) -> None:
    header = ("Content-Encoding", sent)
    assert raw.send("PUT", f"/{bucket}/a", headers=[header], body=b"a").status == 200
    replace = [("x-amz-copy-source", f"{bucket}/a"), ("x-amz-metadata-directive", "REPLACE"), header]
    assert raw.send("PUT", f"/{bucket}/b", headers=replace).status == 200
    upload = raw.send("POST", f"/{bucket}/c", "uploads=", headers=[header]).body
    upload_id = upload.partition(b"<UploadId>")[2].partition(b"<")[0].decode()
    part = s3.upload_part(Bucket=bucket, Key="c", UploadId=upload_id, PartNumber=1, Body=b"c")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=bucket, Key="c", UploadId=upload_id, MultipartUpload=parts)
    request = raw.sign(
        "PUT",
        f"/{bucket}/d",
        headers=[header, ("x-amz-decoded-content-length", "1")],
        payload_hash="STREAMING-AWS4-HMAC-SHA256-PAYLOAD",
    )
    body = request.chunked_body([b"d"])
    request.headers.append(("Content-Length", str(len(body))))
    assert raw.send_bytes(request.head() + body, "PUT").status == 200
    for key in "abcd":
        assert raw.send("HEAD", f"/{bucket}/{key}").headers.get("content-encoding") == kept  # B103
    assert read(s3, bucket, "d") == b"d"
