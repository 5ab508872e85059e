"""System headers and user metadata stored with an object, in PutObject, GetObject and HeadObject."""

from email.header import decode_header, make_header
from typing import Any

import pytest

from ..helpers import headers_of, keys_of, refusal_of
from ..raw import RawClient

SYSTEM = {
    "content-type": "text/html; charset=utf-8",
    "content-encoding": "gzip",
    "content-disposition": 'attachment; filename="a b.txt"',
    "content-language": "de-DE, en",
    "cache-control": "max-age=30, public",
    "expires": "Thu, 01 Dec 2044 16:00:00 GMT",
}


@pytest.mark.parametrize("size", [0, 10, 2 << 20])
def test_metadata_system_headers_come_back(s3: Any, raw: RawClient, bucket: str, size: int) -> None:
    assert raw.send("PUT", f"/{bucket}/a", headers=list(SYSTEM.items()), body=b"x" * size).status == 200
    for method in ("GET", "HEAD"):
        headers = raw.send(method, f"/{bucket}/a").headers
        assert {name: headers.get(name) for name in SYSTEM} == SYSTEM
    response = raw.send("GET", f"/{bucket}/a", headers=[("Range", "bytes=0-")] if size else [])
    assert {name: response.headers.get(name) for name in SYSTEM} == SYSTEM


def test_metadata_that_was_not_sent_does_not_come_back(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"a")
    headers = headers_of(s3.head_object(Bucket=bucket, Key="a"))
    assert headers["content-type"] == "binary/octet-stream"  # B026
    assert not set(SYSTEM) - {"content-type"} & set(headers)
    assert not [name for name in headers if name.startswith("x-amz-meta-")]


def test_metadata_expires_that_is_not_a_date_is_returned(raw: RawClient, bucket: str) -> None:
    raw.send("PUT", f"/{bucket}/a", headers=[("Expires", "tomorrow")], body=b"a")
    assert raw.send("HEAD", f"/{bucket}/a").headers["expires"] == "tomorrow"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("aws-chunked", None), ("aws-chunked,gzip", "gzip"), ("gzip, aws-chunked", "gzip"), ("gzip,br", "gzip,br"), ("", None)],
)
def test_metadata_content_encoding_without_aws_chunked(raw: RawClient, bucket: str, sent: str, kept: str | None) -> None:
    assert raw.send("PUT", f"/{bucket}/a", headers=[("Content-Encoding", sent)], body=b"a").status == 200
    assert raw.send("HEAD", f"/{bucket}/a").headers.get("content-encoding") == kept


def test_metadata_of_the_user_comes_back(s3: Any, bucket: str) -> None:
    metadata = {"color": "blue", "empty": "", "with-dash": "a, b; c=\"d\" <e> & 'f'", "digits0": "0", "path": "/a/../b%2Fc+d"}
    s3.put_object(Bucket=bucket, Key="a", Body=b"a", Metadata=metadata)
    assert s3.head_object(Bucket=bucket, Key="a")["Metadata"] == metadata
    assert s3.get_object(Bucket=bucket, Key="a")["Metadata"] == metadata


def test_metadata_names_come_back_in_lower_case_with_their_underscores(raw: RawClient, bucket: str) -> None:
    headers = [("X-Amz-Meta-Color", "Blue"), ("x-amz-meta-under_score", "1"), ("x-amz-meta-under-score", "2")]
    assert raw.send("PUT", f"/{bucket}/a", headers=headers, body=b"a").status == 200
    found = raw.send("GET", f"/{bucket}/a").headers
    assert (found["x-amz-meta-color"], found["x-amz-meta-under_score"], found["x-amz-meta-under-score"]) == ("Blue", "1", "2")


def test_metadata_sent_twice_is_joined(raw: RawClient, bucket: str) -> None:
    headers = [("x-amz-meta-a", "1"), ("x-amz-meta-a", "2")]
    assert raw.send("PUT", f"/{bucket}/a", headers=headers, body=b"a").status == 200
    assert raw.send("HEAD", f"/{bucket}/a").headers["x-amz-meta-a"] == "1,2"


def test_metadata_white_space_around_a_value_is_removed(raw: RawClient, bucket: str) -> None:
    request = raw.sign(
        "PUT", f"/{bucket}/a", headers=[("x-amz-meta-a", "  1  2  ")], body=b"a", unsigned_headers=[("Content-Length", "1")]
    )
    assert raw.send_bytes(request.head() + b"a", "PUT").status == 200
    assert raw.send("HEAD", f"/{bucket}/a").headers["x-amz-meta-a"] == "1  2"


@pytest.mark.parametrize("value", ["grün", "€ 5", "日本語", "😀", "plain ü and more " * 10])
def test_metadata_that_is_not_ascii_comes_back_as_rfc_2047(raw: RawClient, bucket: str, value: str) -> None:
    value = value.strip()
    assert raw.send("PUT", f"/{bucket}/a", headers=[("x-amz-meta-a", value)], body=b"a").status == 200
    for method in ("GET", "HEAD"):
        found = raw.send(method, f"/{bucket}/a").headers["x-amz-meta-a"]
        assert found.isascii() and found.startswith("=?UTF-8?")  # B029, B136
        assert str(make_header(decode_header(found))) == value


def test_metadata_that_arrives_as_rfc_2047_and_is_ascii_comes_back_decoded(raw: RawClient, bucket: str) -> None:
    headers = [
        ("x-amz-meta-q", "=?UTF-8?Q?plain_text?="),
        ("x-amz-meta-b", "=?UTF-8?B?cGxhaW4=?="),
        ("x-amz-meta-n", "=?nonsense?="),
        ("x-amz-meta-c", "=?utf-ü?q?a?="),
    ]
    assert raw.send("PUT", f"/{bucket}/a", headers=headers, body=b"a").status == 200
    found = raw.send("HEAD", f"/{bucket}/a").headers
    assert (found["x-amz-meta-q"], found["x-amz-meta-b"], found["x-amz-meta-n"]) == (
        "plain text",
        "plain",
        "=?nonsense?=",
    )  # B029
    # Text that looks encoded in an unknown charset is ordinary text, and not ASCII.
    assert str(make_header(decode_header(found["x-amz-meta-c"]))) == "=?utf-ü?q?a?="


def test_metadata_that_arrives_as_rfc_2047_comes_back_unchanged(raw: RawClient, bucket: str) -> None:
    raw.send("PUT", f"/{bucket}/a", headers=[("x-amz-meta-a", "=?UTF-8?Q?gr=C3=BCn?=")], body=b"a")
    found = raw.send("HEAD", f"/{bucket}/a").headers["x-amz-meta-a"]
    assert found.isascii() and str(make_header(decode_header(found))) == "grün"


def test_metadata_system_headers_that_are_not_ascii_come_back_as_they_were_sent(raw: RawClient, bucket: str) -> None:
    value = 'attachment; filename="grün 日本.txt"'
    assert raw.send("PUT", f"/{bucket}/a", headers=[("Content-Disposition", value)], body=b"a").status == 200
    for method in ("GET", "HEAD"):
        found = raw.send(method, f"/{bucket}/a").headers["content-disposition"]
        assert found.encode("latin-1").decode() == value  # B029


def test_metadata_cannot_inject_a_header(raw: RawClient, bucket: str) -> None:
    headers = [("x-amz-meta-a", "=?UTF-8?Q?a=0D=0AX-Injected:_1?=")]
    response = raw.send("PUT", f"/{bucket}/a", headers=headers, body=b"a")
    if response.status == 200:
        assert b"\r\nx-injected" not in raw.send("GET", f"/{bucket}/a").head.lower()
    else:
        assert response.status == 400


@pytest.mark.parametrize("character", ["x", "ü"])
def test_metadata_of_2048_bytes_is_kept_and_of_more_refused(s3: Any, raw: RawClient, bucket: str, character: str) -> None:
    size = len(character.encode())
    value = character * ((2048 - 6) // size)  # "a", "bb" and "ccc" are the names
    headers = [("x-amz-meta-a", value), ("x-amz-meta-bb", ""), ("x-amz-meta-ccc", "")]
    assert raw.send("PUT", f"/{bucket}/a", headers=headers, body=b"a").status == 200
    found = raw.send("HEAD", f"/{bucket}/a").headers["x-amz-meta-a"]
    assert str(make_header(decode_header(found))) == value
    headers[1] = ("x-amz-meta-bb", "y")
    refused = refusal_of(raw.send("PUT", f"/{bucket}/b", headers=headers, body=b"a"))
    assert (refused.status, refused.code) == (400, "MetadataTooLarge")
    assert refused.message == "Your metadata headers exceed the maximum allowed metadata size"
    assert refused.fields == {"Size": "2049", "MaxSizeAllowed": "2048"}
    assert keys_of(s3, bucket) == ["a"]


def test_metadata_of_a_multipart_upload_comes_back(s3: Any, bucket: str) -> None:
    upload = s3.create_multipart_upload(
        Bucket=bucket, Key="a", Metadata={"color": "blue"}, ContentType="text/plain", CacheControl="no-store"
    )["UploadId"]
    part = s3.upload_part(Bucket=bucket, Key="a", UploadId=upload, PartNumber=1, Body=b"a")
    parts = [{"PartNumber": 1, "ETag": part["ETag"]}]
    s3.complete_multipart_upload(Bucket=bucket, Key="a", UploadId=upload, MultipartUpload={"Parts": parts})
    got = s3.head_object(Bucket=bucket, Key="a")
    assert (got["Metadata"], got["ContentType"], got["CacheControl"]) == ({"color": "blue"}, "text/plain", "no-store")
