"""Names and values that would end a header: refused on input, harmless if stored already (D69)."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ..helpers import keys_of, query, read, refusal_of
from ..raw import RawClient, RawResponse
from ..servers import RUNNERS, Server

#: Percent-encoded names after `x-amz-meta-` that are not tokens (RFC 9110, 5.6.2).
BAD_NAMES = [
    "a%0D%0ASet-Cookie%3A%20x%3D1",
    "a%0ASet-Cookie",
    "a%0D",
    "a%20b",
    "a%3Ab",
    "a%09",
    "%C3%BC",
    "a%7F",
    "a%22",
    "a%2Fb",
    "a%5B",
]
#: Percent-encoded values that contain control characters.
BAD_VALUES = ["a%0D%0ASet-Cookie%3A%20x%3D1", "%0A", "%0D", "a%01", "%1B%5B31m", "a%7F", "%1F"]
POISON = "a\r\nSet-Cookie: poison=1"


def presigned(raw: RawClient, method: str, path: str, parameters: str) -> RawResponse:
    response = raw.send(method, path, raw.presign(method, path, parameters), body=b"a" if method == "PUT" else b"", signed=False)
    assert response is not None
    return response


@pytest.mark.parametrize("name", BAD_NAMES)
@pytest.mark.parametrize(("method", "also"), [("PUT", ""), ("POST", "&uploads=")])
def test_presigned_name_that_is_not_a_token_is_refused(
    s3: Any, raw: RawClient, bucket: str, method: str, also: str, name: str
) -> None:
    refused = refusal_of(presigned(raw, method, f"/{bucket}/a", f"x-amz-meta-{name}=1{also}"))
    assert (refused.status, refused.code) == (400, "InvalidArgument")
    assert keys_of(s3, bucket) == []
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


@pytest.mark.parametrize("value", BAD_VALUES)
@pytest.mark.parametrize(("method", "also"), [("PUT", ""), ("POST", "&uploads=")])
@pytest.mark.parametrize("name", ["x-amz-meta-a", "x-amz-storage-class", "x-amz-of-tomorrow"])
def test_presigned_value_with_a_control_character_is_refused(
    s3: Any, raw: RawClient, bucket: str, name: str, method: str, also: str, value: str
) -> None:
    refused = refusal_of(presigned(raw, method, f"/{bucket}/a", f"{name}={value}{also}"))
    assert (refused.status, refused.code) == (400, "InvalidArgument")
    assert keys_of(s3, bucket) == []
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_presigned_value_with_a_tab_comes_back(s3: Any, raw: RawClient, bucket: str) -> None:
    assert presigned(raw, "PUT", f"/{bucket}/a", "x-amz-meta-a=1%092").status == 200
    assert raw.send("GET", f"/{bucket}/a").headers["x-amz-meta-a"] == "1\t2"


@pytest.mark.parametrize("name", ["content-type", "content-disposition", "content-language", "expires", "cache-control"])
@pytest.mark.parametrize("value", BAD_VALUES)
def test_response_parameter_with_a_control_character_is_refused(
    s3: Any, raw: RawClient, bucket: str, name: str, value: str
) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"a")
    refused = refusal_of(raw.send("GET", f"/{bucket}/a", f"response-{name}={value}"))
    assert (refused.status, refused.code) == (400, "InvalidArgument")
    assert raw.send("HEAD", f"/{bucket}/a", f"response-{name}={value}").status == 400


# Stored objects


def poison_metadata(server: Server, bucket: str, key: str, name: str, value: str) -> None:
    [(object_id,)] = query(
        server,
        "SELECT o.id FROM post3_object o JOIN post3_bucket b ON b.id = o.bucket_id WHERE b.name = ? AND o.key = ?",
        (bucket, key),
    )
    add_metadata(server, "post3_object", object_id, {name: value})


def add_metadata(server: Server, table: str, row_id: int, metadata: dict[str, str]) -> None:
    [(there,)] = query(server, f"SELECT metadata FROM {table} WHERE id = ?", (row_id,))
    there = json.loads(there) if isinstance(there, str) else there
    query(server, f"UPDATE {table} SET metadata = ? WHERE id = ? RETURNING id", (json.dumps(there | metadata), row_id))


def poison_column(server: Server, bucket: str, key: str, column: str, value: str) -> None:
    query(
        server,
        f"UPDATE post3_object SET {column} = ? WHERE key = ? AND bucket_id = (SELECT id FROM post3_bucket WHERE name = ?) "
        "RETURNING id",
        (value, key, bucket),
    )


def check_answers(raw: RawClient, bucket: str, key: str, body: bytes) -> list[RawResponse]:
    """Check that GET, HEAD and a range return complete responses with nothing injected."""
    found = []
    for method, headers, status in [("GET", [], 200), ("HEAD", [], 200), ("GET", [("Range", "bytes=0-0")], 206)]:
        response = raw.send(method, f"/{bucket}/{key}", headers=headers)
        assert response is not None and response.status == status, response
        assert "set-cookie" not in response.headers and response.head.count(b"\r\n\r\n") == 1
        assert not any(line.lstrip().lower().startswith(b"set-cookie") for line in response.head.splitlines())
        if method == "GET":
            assert response.body == (body if status == 200 else body[:1])
        found.append(response)
    return found


@pytest.mark.parametrize("size", [3, 2 << 20])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("a\r\nSet-Cookie: x", "1"),
        ("a\nb", "1"),
        ("a b", "1"),
        ("", "1"),
        ("\u00fc", "1"),
        ("a", POISON),
        ("a", "\x1b[31m"),
        ("a", "\x7f"),
    ],
)
def test_stored_metadata_that_is_not_a_header_is_counted_and_left_out(
    s3: Any, server: Server, raw: RawClient, bucket: str, name: str, value: str, size: int
) -> None:
    body = b"x" * size
    s3.put_object(Bucket=bucket, Key="k", Body=body, Metadata={"good": "1"})
    poison_metadata(server, bucket, "k", name, value)
    for response in check_answers(raw, bucket, "k", body):
        assert {header for header in response.headers if header.startswith("x-amz-meta-")} == {"x-amz-meta-good"}
        assert response.headers["x-amz-missing-meta"] == "1"  # B130
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/k")
    for response in check_answers(raw, bucket, "copy", body):
        assert response.headers["x-amz-meta-good"] == "1"
        assert "x-amz-missing-meta" not in response.headers  # a copy takes over only values that are valid in a header


@pytest.mark.parametrize("size", [3, 2 << 20])
@pytest.mark.parametrize(
    "column", ["content_type", "content_disposition", "content_language", "cache_control", "expires", "content_encoding", "etag"]
)
def test_stored_header_with_a_control_character_is_cleaned(
    s3: Any, server: Server, raw: RawClient, bucket: str, column: str, size: int
) -> None:
    body = b"x" * size
    s3.put_object(Bucket=bucket, Key="k", Body=body)
    poison_column(server, bucket, "k", column, POISON)
    for response in check_answers(raw, bucket, "k", body):
        value = response.headers[column.replace("_", "-")]
        assert value.strip('"') == "a  Set-Cookie: poison=1"  # RFC 9110, 5.5: each becomes a space
    s3.copy_object(Bucket=bucket, Key="copy", CopySource=f"{bucket}/k")
    check_answers(raw, bucket, "copy", body)
    part = s3.create_multipart_upload(Bucket=bucket, Key="parts")["UploadId"]
    copied = s3.upload_part_copy(Bucket=bucket, Key="parts", UploadId=part, PartNumber=1, CopySource=f"{bucket}/k")
    parts = {"Parts": [{"PartNumber": 1, "ETag": copied["CopyPartResult"]["ETag"]}]}
    s3.complete_multipart_upload(Bucket=bucket, Key="parts", UploadId=part, MultipartUpload=parts)
    assert read(s3, bucket, "parts") == body


def test_stored_metadata_of_an_upload_that_is_not_a_header_is_left_out(
    s3: Any, server: Server, raw: RawClient, bucket: str
) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="k", Metadata={"good": "1"})["UploadId"]
    [(upload_id,)] = query(server, "SELECT id FROM post3_multipartupload WHERE upload_id = ?", (upload,))
    add_metadata(server, "post3_multipartupload", upload_id, {"a\r\nSet-Cookie: x": "1", "b": POISON})
    part = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"abc")
    parts = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    s3.complete_multipart_upload(Bucket=bucket, Key="k", UploadId=upload, MultipartUpload=parts)
    for response in check_answers(raw, bucket, "k", b"abc"):
        assert response.headers["x-amz-meta-good"] == "1"


@pytest.fixture(scope="module", params=RUNNERS)
def served(request: pytest.FixtureRequest, make_server: Callable[..., Server]) -> Iterator[Server]:
    server = make_server("sqlite-files", runner=request.param)
    server.client().create_bucket(Bucket="bucket")
    yield server
    server.stop()


def test_no_server_splits_a_response(served: Server) -> None:
    s3 = served.client()
    raw = RawClient(served.host, served.port, served.access_key, served.secret_key)
    for size in (3, 2 << 20):
        body = b"x" * size
        s3.put_object(Bucket="bucket", Key="k", Body=body, Metadata={"good": "1"})
        poison_metadata(served, "bucket", "k", "a\r\nSet-Cookie: x", "1")
        poison_metadata(served, "bucket", "k", "b", POISON)
        poison_column(served, "bucket", "k", "content_type", POISON)
        for response in check_answers(raw, "bucket", "k", body):
            assert response.headers["x-amz-missing-meta"] == "2"
    for parameters in ("x-amz-meta-a%0D%0ASet-Cookie%3Ax=1", "x-amz-meta-a=%0D%0ASet-Cookie%3Ax"):
        assert presigned(raw, "PUT", "/bucket/n", parameters).status == 400
    request = raw.sign(
        "PUT", "/bucket/n", headers=[("x-amz-meta-a", "a\x01b")], unsigned_headers=[("Content-Length", "1")], body=b"a"
    )
    assert raw.send_bytes(request.head() + b"a", "PUT").status == 400
    request = raw.sign(
        "PUT", "/bucket/n", headers=[("Content-Type", "a\x1bb")], unsigned_headers=[("Content-Length", "1")], body=b"a"
    )
    assert raw.send_bytes(request.head() + b"a", "PUT").status == 400
    assert keys_of(s3, "bucket") == ["k"]
