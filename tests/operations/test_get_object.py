"""GetObject: GET /bucket/key."""

import base64
import os
import zlib
from datetime import UTC, datetime, timedelta
from email.utils import formatdate, parsedate_to_datetime
from typing import Any

import pytest

from ..helpers import etag_of, headers_of, refusal, refusal_of, status_of
from ..raw import RawClient

MIB = 1 << 20
#: The objects that ranges are read from. SMALL is stored inline. LARGE is in blocks or a file and not a multiple of the
#: block size.
SMALL, LARGE = b"hello world", os.urandom(3 * MIB + 17)


@pytest.fixture
def part_body(s3: Any, bucket: str) -> bytes:
    """Upload the object "parts" in parts 2 and 7 (5 MiB and 10 bytes), each with a CRC32. Return its bytes."""
    bodies = {2: os.urandom(5 * MIB), 7: os.urandom(10)}
    upload = s3.create_multipart_upload(Bucket=bucket, Key="parts", ChecksumAlgorithm="CRC32")["UploadId"]
    parts = []
    for number, body in bodies.items():
        part = s3.upload_part(
            Bucket=bucket, Key="parts", UploadId=upload, PartNumber=number, Body=body, ChecksumAlgorithm="CRC32"
        )
        parts.append({"PartNumber": number, "ETag": part["ETag"], "ChecksumCRC32": part["ChecksumCRC32"]})
    s3.complete_multipart_upload(Bucket=bucket, Key="parts", UploadId=upload, MultipartUpload={"Parts": parts})
    return b"".join(bodies.values())


def test_get_object_returns_its_headers(s3: Any, raw: RawClient, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=SMALL)
    response = raw.send("GET", f"/{bucket}/a")
    assert (response.status, response.body) == (200, SMALL)
    headers = response.headers
    assert headers["etag"] == etag_of(SMALL)
    assert headers["content-length"] == "11"
    assert headers["content-type"] == "binary/octet-stream"
    assert headers["accept-ranges"] == "bytes"
    assert headers["x-amz-request-id"] and headers["x-amz-id-2"] and headers["date"]
    assert abs(parsedate_to_datetime(headers["last-modified"]) - datetime.now(UTC)) < timedelta(minutes=1)
    for absent in ("content-range", "x-amz-storage-class", "x-amz-mp-parts-count", "x-amz-checksum-crc32", "transfer-encoding"):
        assert absent not in headers


def test_get_object_of_a_missing_key_is_refused(s3: Any, raw: RawClient, bucket: str) -> None:
    refused = refusal_of(raw.send("GET", f"/{bucket}/mis%20sing"))
    assert (refused.status, refused.code) == (404, "NoSuchKey")
    assert refused.message == "The specified key does not exist."
    assert refused.fields == {"Key": "mis sing"}


def test_get_object_of_a_missing_bucket_is_refused(raw: RawClient) -> None:
    refused = refusal_of(raw.send("GET", "/missing-bucket/a"))
    assert (refused.status, refused.code) == (404, "NoSuchBucket")
    assert refused.message == "The specified bucket does not exist"
    assert refused.fields == {"BucketName": "missing-bucket"}


@pytest.mark.parametrize(
    ("text", "first", "end"),
    [
        *(
            ("bytes=0-0", 0, 1),
            ("bytes=4-7", 4, 8),
            ("bytes=4-", 4, None),
            ("bytes=10-10", 10, 11),
            ("bytes=4-1000000000", 4, None),
        ),
        *(("bytes=-1", -1, None), ("bytes=-4", -4, None), ("bytes=-999999999", 0, None), ("bytes=0-", 0, None)),
        ("bytes=0-99999999999999999999999", 0, None),
    ],
)
@pytest.mark.parametrize("body", [SMALL, LARGE], ids=["small", "large"])
def test_get_object_with_a_range_returns_that_range(
    s3: Any, bucket: str, body: bytes, text: str, first: int, end: int | None
) -> None:
    # B049
    s3.put_object(Bucket=bucket, Key="a", Body=body)
    answer = s3.get_object(Bucket=bucket, Key="a", Range=text)
    wanted = body[first:end]
    start = first if first >= 0 else len(body) + first
    assert status_of(answer) == 206
    assert answer["Body"].read() == wanted
    assert answer["ContentLength"] == len(wanted)
    assert answer["ContentRange"] == f"bytes {start}-{start + len(wanted) - 1}/{len(body)}"
    assert answer["ETag"] == etag_of(body)


@pytest.mark.parametrize(
    ("first", "last"), [(MIB - 1, MIB), (MIB, 2 * MIB - 1), (5, 3 * MIB), (2 * MIB + 5, 2 * MIB + 5), (3 * MIB, 3 * MIB + 16)]
)
def test_get_object_with_a_range_across_block_boundaries(s3: Any, bucket: str, first: int, last: int) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=LARGE)
    answer = s3.get_object(Bucket=bucket, Key="a", Range=f"bytes={first}-{last}")
    assert answer["Body"].read() == LARGE[first : last + 1]


@pytest.mark.parametrize(
    "text", ["bytes=1-0", "bytes=-1-", "bytes=0--1", "bytes=-", "0-1", "bytes=0-1,3-4", "lines=0-1", "bytes="]
)
def test_get_object_with_an_invalid_range_returns_everything(raw: RawClient, s3: Any, bucket: str, text: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=SMALL)
    response = raw.send("GET", f"/{bucket}/a", headers=[("Range", text)])
    assert (response.status, response.body) == (200, SMALL)  # B050
    assert "content-range" not in response.headers


def test_get_object_with_a_range_of_very_many_digits(raw: RawClient, s3: Any, bucket: str) -> None:
    """Python's int accepts at most 4,300 digits."""
    s3.put_object(Bucket=bucket, Key="a", Body=SMALL)
    response = raw.send("GET", f"/{bucket}/a", headers=[("Range", "bytes=1-" + "9" * 5000)])
    assert (response.status, response.body) == (206, SMALL[1:])
    assert raw.send("GET", f"/{bucket}/a", headers=[("Range", f"bytes={'9' * 5000}-")]).status == 416


@pytest.mark.parametrize(
    ("size", "text"), [(11, "bytes=11-12"), (11, "bytes=100-200"), (11, "bytes=-0"), (0, "bytes=0-0"), (0, "bytes=0-")]
)
def test_get_object_with_a_range_beyond_its_end_is_refused(raw: RawClient, s3: Any, bucket: str, size: int, text: str) -> None:
    # B051
    s3.put_object(Bucket=bucket, Key="a", Body=b"x" * size)
    refused = refusal_of(raw.send("GET", f"/{bucket}/a", headers=[("Range", text)]))
    assert (refused.status, refused.code) == (416, "InvalidRange")
    assert refused.message == "The requested range is not satisfiable"
    assert refused.fields == {"RangeRequested": text, "ActualObjectSize": str(size)}
    assert refused.headers["content-range"] == f"bytes */{size}"


@pytest.mark.parametrize(
    ("first", "last"), [(0, 0), (5 * MIB - 2, 5 * MIB + 3), (5 * MIB, 5 * MIB + 9), (0, 5 * MIB + 9), (5 * MIB + 5, 5 * MIB + 5)]
)
def test_get_object_with_a_range_over_parts(s3: Any, bucket: str, part_body: bytes, first: int, last: int) -> None:
    answer = s3.get_object(Bucket=bucket, Key="parts", Range=f"bytes={first}-{last}")
    assert status_of(answer) == 206
    assert answer["Body"].read() == part_body[first : last + 1]
    assert answer["ContentRange"] == f"bytes {first}-{last}/{5 * MIB + 10}"


def test_get_object_with_a_part_number_returns_that_part(s3: Any, bucket: str, part_body: bytes) -> None:
    spans = {1: (0, 5 * MIB), 2: (5 * MIB, 5 * MIB + 10)}
    for number, (start, end) in spans.items():
        answer = s3.get_object(Bucket=bucket, Key="parts", PartNumber=number)
        assert status_of(answer) == 206
        assert answer["PartsCount"] == 2
        assert answer["ContentRange"] == f"bytes {start}-{end - 1}/{5 * MIB + 10}"
        assert answer["Body"].read() == part_body[start:end]
    refused = refusal(s3.get_object, Bucket=bucket, Key="parts", PartNumber=3)
    assert (refused.status, refused.code) == (416, "InvalidPartNumber")
    assert refused.message == "The requested partnumber is not satisfiable"
    assert refused.fields == {"ActualPartCount": "2", "PartNumberRequested": "3"}
    assert s3.get_object(Bucket=bucket, Key="parts")["Body"].read() == part_body


def test_get_object_with_a_part_number_returns_the_checksum_of_a_composite_part(
    raw: RawClient, bucket: str, part_body: bytes
) -> None:
    response = raw.send("GET", f"/{bucket}/parts", "partNumber=2", headers=[("x-amz-checksum-mode", "ENABLED")])
    crc32 = base64.b64encode(zlib.crc32(part_body[5 * MIB :]).to_bytes(4, "big")).decode()
    assert response.headers["x-amz-checksum-crc32"] == crc32  # B059


def test_get_object_with_a_part_number_of_an_object_without_parts(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=SMALL)
    answer = s3.get_object(Bucket=bucket, Key="a", PartNumber=1)
    assert (status_of(answer), answer["Body"].read(), answer["ContentRange"]) == (206, SMALL, "bytes 0-10/11")
    assert "PartsCount" not in answer
    refused = refusal(s3.get_object, Bucket=bucket, Key="a", PartNumber=2)
    assert (refused.status, refused.code) == (416, "InvalidPartNumber")
    assert refused.fields == {"ActualPartCount": "1", "PartNumberRequested": "2"}


@pytest.mark.parametrize("number", ["0", "10001", "-1", "x", ""])
def test_get_object_with_a_wrong_part_number_is_refused(raw: RawClient, s3: Any, bucket: str, number: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=SMALL)
    refused = refusal_of(raw.send("GET", f"/{bucket}/a", f"partNumber={number}"))
    assert (refused.status, refused.code) == (400, "InvalidArgument")
    assert refused.message == "Part number must be an integer between 1 and 10000, inclusive"
    assert refused.fields == {"ArgumentName": "partNumber", "ArgumentValue": number}


def test_get_object_with_a_range_and_a_part_number_is_refused(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=SMALL)
    refused = refusal(s3.get_object, Bucket=bucket, Key="a", PartNumber=1, Range="bytes=0-1")
    assert (refused.status, refused.code) == (400, "InvalidRequest")
    assert refused.message == "Cannot specify both Range header and partNumber query parameter"


HOUR = timedelta(hours=1)
ETAG, OTHER = etag_of(SMALL), etag_of(b"other")


@pytest.mark.parametrize(
    ("conditions", "status", "failed"),
    [
        ({"If-Match": ETAG}, 200, ""),
        ({"If-Match": ETAG.strip('"')}, 200, ""),
        ({"If-Match": "*"}, 200, ""),
        ({"If-Match": f"{OTHER}, {ETAG}"}, 200, ""),
        ({"If-Match": OTHER}, 412, "If-Match"),
        ({"If-None-Match": OTHER}, 200, ""),
        ({"If-None-Match": ETAG}, 304, ""),
        ({"If-None-Match": ETAG.strip('"')}, 304, ""),
        ({"If-None-Match": "*"}, 304, ""),
        ({"If-Modified-Since": -HOUR}, 200, ""),
        ({"If-Modified-Since": timedelta()}, 304, ""),
        ({"If-Modified-Since": HOUR}, 200, ""),  # in the future, so ignored (B055)
        ({"If-Modified-Since": "nonsense"}, 200, ""),
        ({"If-Modified-Since": "Fri, 01 Jan 9999999999 00:00:00 GMT"}, 200, ""),
        ({"If-Unmodified-Since": -HOUR}, 412, "If-Unmodified-Since"),
        ({"If-Unmodified-Since": timedelta()}, 200, ""),
        ({"If-Unmodified-Since": HOUR}, 200, ""),
        ({"If-Match": ETAG, "If-Unmodified-Since": -HOUR}, 200, ""),
        ({"If-Match": OTHER, "If-Unmodified-Since": HOUR}, 412, "If-Match"),
        ({"If-None-Match": ETAG, "If-Modified-Since": -HOUR}, 304, ""),
        ({"If-None-Match": OTHER, "If-Modified-Since": timedelta()}, 200, ""),
        ({"If-Match": OTHER, "If-None-Match": ETAG}, 412, "If-Match"),
        ({"If-Match": ETAG, "If-None-Match": ETAG}, 304, ""),
        ({"If-Unmodified-Since": -HOUR, "If-None-Match": ETAG}, 412, "If-Unmodified-Since"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_get_object_with_conditions(
    s3: Any, raw: RawClient, bucket: str, method: str, conditions: dict[str, Any], status: int, failed: str
) -> None:
    # B053, B054
    s3.put_object(Bucket=bucket, Key="a", Body=SMALL)
    modified = s3.head_object(Bucket=bucket, Key="a")["LastModified"]
    headers = [
        (name, formatdate((modified + value).timestamp(), usegmt=True) if isinstance(value, timedelta) else value)
        for name, value in conditions.items()
    ]
    response = raw.send(method, f"/{bucket}/a", headers=headers)
    assert response.status == status
    if status == 200:
        assert response.body == (SMALL if method == "GET" else b"")
    elif status == 304:
        assert (response.body, response.headers["etag"]) == (b"", ETAG)
        assert response.headers["last-modified"] == formatdate(modified.timestamp(), usegmt=True)
    elif method == "GET":
        refused = refusal_of(response)
        assert (refused.code, refused.fields) == ("PreconditionFailed", {"Condition": failed})
        assert refused.message == "At least one of the pre-conditions you specified did not hold"
    else:
        assert response.body == b""


def test_get_object_that_is_not_modified_leaves_the_connection_usable(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=SMALL)
    assert refusal(s3.get_object, Bucket=bucket, Key="a", IfNoneMatch=ETAG).status == 304
    assert s3.get_object(Bucket=bucket, Key="a")["Body"].read() == SMALL


def test_get_object_with_response_headers_returns_those(s3: Any, bucket: str) -> None:
    # B056
    s3.put_object(Bucket=bucket, Key="a", Body=SMALL, ContentType="text/plain", CacheControl="no-store", ContentLanguage="de")
    wanted = {
        "ResponseContentType": "text/html; charset=utf-8",
        "ResponseContentDisposition": 'attachment; filename="a b.txt"',
        "ResponseContentEncoding": "gzip",
        "ResponseContentLanguage": "en",
        "ResponseCacheControl": "max-age=5",
        "ResponseExpires": "Thu, 01 Dec 1994 16:00:00 GMT",
    }
    for call in (s3.get_object, s3.head_object):
        headers = headers_of(call(Bucket=bucket, Key="a", **wanted))
        assert headers["content-type"] == "text/html; charset=utf-8"
        assert headers["content-disposition"] == 'attachment; filename="a b.txt"'
        assert headers["content-encoding"] == "gzip"
        assert headers["content-language"] == "en"
        assert headers["cache-control"] == "max-age=5"
        assert headers["expires"] == "Thu, 01 Dec 1994 16:00:00 GMT"
    headers = headers_of(s3.get_object(Bucket=bucket, Key="a", ResponseContentType="text/css"))
    assert (headers["content-type"], headers["cache-control"], headers["content-language"]) == ("text/css", "no-store", "de")
    assert headers_of(s3.get_object(Bucket=bucket, Key="a"))["content-type"] == "text/plain"


@pytest.mark.parametrize("value", ["%E2%82%AC", "a%0D%0AX-Injected%3A%201"])
def test_get_object_with_an_invalid_response_header_is_refused(s3: Any, raw: RawClient, bucket: str, value: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=SMALL)
    refused = refusal_of(raw.send("GET", f"/{bucket}/a", f"response-content-type={value}"))
    assert (refused.status, refused.code) == (400, "InvalidArgument")
    assert refused.message == "Header value cannot be represented using ISO-8859-1."


def test_get_object_with_checksum_mode_returns_only_the_checksum_of_the_object(s3: Any, raw: RawClient, bucket: str) -> None:
    put = s3.put_object(Bucket=bucket, Key="a", Body=SMALL, ChecksumAlgorithm="SHA256")
    mode = ("x-amz-checksum-mode", "ENABLED")
    for method in ("GET", "HEAD"):
        whole = raw.send(method, f"/{bucket}/a", headers=[mode]).headers
        assert (whole["x-amz-checksum-sha256"], whole["x-amz-checksum-type"]) == (put["ChecksumSHA256"], "FULL_OBJECT")
        assert "x-amz-checksum-sha256" not in raw.send(method, f"/{bucket}/a").headers
        part = raw.send(method, f"/{bucket}/a", headers=[mode, ("Range", "bytes=0-3")])
        assert part.status == 206
        assert "x-amz-checksum-sha256" not in part.headers and "x-amz-checksum-type" not in part.headers
        assert "x-amz-checksum-sha256" in raw.send(method, f"/{bucket}/a", headers=[mode, ("Range", "bytes=0-")]).headers


def test_get_object_with_the_null_version_returns_the_object(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=SMALL)
    assert s3.get_object(Bucket=bucket, Key="a", VersionId="null")["Body"].read() == SMALL
    refused = refusal(s3.get_object, Bucket=bucket, Key="a", VersionId="nonsense")
    assert (refused.status, refused.code) == (400, "InvalidArgument")
    assert refused.message == "Invalid version id specified"
    assert refused.fields["ArgumentName"] == "versionId"


def test_get_object_with_an_unknown_parameter_and_value_succeeds(s3: Any, raw: RawClient, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=SMALL)
    assert raw.send("GET", f"/{bucket}/a", "cachebuster=1").body == SMALL
