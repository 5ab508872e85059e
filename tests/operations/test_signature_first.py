"""Nothing is refused before the signature is verified, and a presigned URL's signed query parameters count (D71)."""

from typing import Any

import pytest

from ..helpers import keys_of, read, refusal_of
from ..raw import RawClient

ACCESS_DENIED = (403, "AccessDenied")


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
def test_header_is_refused_only_after_the_signature(s3: Any, raw: RawClient, bucket: str, header: tuple[str, str]) -> None:
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


# Headers that need not be signed


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
    # A header cannot replace the hash that a URL signs.
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
        # A client with the URL cannot remove its condition.
        assert put(raw, bucket, f"{name}=%2A", [("If-None-Match", "")]) == 412
        s3.delete_object(Bucket=bucket, Key="a")


def test_presigned_if_match_is_412_if_it_differs(s3: Any, raw: RawClient, bucket: str) -> None:
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
