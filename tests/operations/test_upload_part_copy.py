"""UploadPartCopy."""

from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.raw import RawClient

from .listed import refused
from .multipart import FIRST, NAMESPACE, SECOND, begin, checksum, complete, composite, etag_of, made_bytes, md5_of, read, upload

PAST = datetime(2001, 1, 1, tzinfo=UTC)


def copied(s3: Any, bucket: str, upload_id: str, number: int, source: str, **arguments: Any) -> dict[str, Any]:
    """Copy into a part of the upload of "k" and return the result."""
    same = {"Bucket": bucket, "Key": "k", "UploadId": upload_id, "PartNumber": number}
    return s3.upload_part_copy(**same, CopySource=f"{bucket}/{source}", **arguments)["CopyPartResult"]


def finish(s3: Any, bucket: str, upload_id: str, *results: dict[str, Any]) -> dict[str, Any]:
    fields = ("ETag", "ChecksumCRC32", "ChecksumSHA256")
    parts = [
        {"PartNumber": number, **{name: result[name] for name in fields if name in result}}
        for number, result in enumerate(results, 1)
    ]
    return complete(s3, bucket, "k", upload_id, parts)


@pytest.mark.parametrize("size", [0, 1, 300_000, 1_500_000])
def test_upload_part_copy_of_a_whole_object(s3: Any, bucket: str, size: int) -> None:
    data = made_bytes(size)
    s3.put_object(Bucket=bucket, Key="source", Body=data)
    upload_id = begin(s3, bucket, "k")
    result = copied(s3, bucket, upload_id, 1, "source")
    assert result["ETag"] == md5_of(data)
    s3.delete_object(Bucket=bucket, Key="source")
    assert finish(s3, bucket, upload_id, result)["ETag"] == etag_of(data)
    assert read(s3, bucket, "k") == data


def test_upload_part_copy_returns_xml(s3: Any, bucket: str, raw: RawClient) -> None:
    s3.put_object(Bucket=bucket, Key="source", Body=b"x")
    upload_id = begin(s3, bucket, "k")
    answer = raw.send("PUT", f"/{bucket}/k", f"partNumber=1&uploadId={upload_id}", [("x-amz-copy-source", f"/{bucket}/source")])
    root = ElementTree.fromstring(answer.body)
    assert (answer.status, answer.headers["content-type"], root.tag) == (200, "application/xml", f"{NAMESPACE}CopyPartResult")
    assert [child.tag.removeprefix(NAMESPACE) for child in root] == ["LastModified", "ETag"]
    (part,) = s3.list_parts(Bucket=bucket, Key="k", UploadId=upload_id)["Parts"]
    assert (part["ETag"], part["Size"]) == (md5_of(b"x"), 1)


@pytest.mark.parametrize("kind", ["plain", "parts"])
@pytest.mark.parametrize(("first", "last"), [(0, 0), (0, 9), (5, 1_500_000), (0, None), (1, None), (2_000_000, None)])
def test_upload_part_copy_of_a_range(s3: Any, bucket: str, kind: str, first: int, last: int | None) -> None:
    data = FIRST + b"end"
    if kind == "plain":
        s3.put_object(Bucket=bucket, Key="source", Body=data)
    else:
        upload(s3, bucket, "source", {1: FIRST, 2: b"end"})
    last = len(data) - 1 if last is None else last
    upload_id = begin(s3, bucket, "k")
    result = copied(s3, bucket, upload_id, 1, "source", CopySourceRange=f"bytes={first}-{last}")
    assert result["ETag"] == md5_of(data[first : last + 1])
    finish(s3, bucket, upload_id, result)
    assert read(s3, bucket, "k") == data[first : last + 1]


def test_upload_part_copy_of_several_parts_and_own_bytes(s3: Any, bucket: str) -> None:
    upload(s3, bucket, "parts", {1: FIRST, 2: SECOND})
    s3.put_object(Bucket=bucket, Key="plain", Body=SECOND)
    upload_id = begin(s3, bucket, "k")
    one = copied(s3, bucket, upload_id, 1, "parts")
    two = copied(s3, bucket, upload_id, 2, "plain")
    three = s3.upload_part(Bucket=bucket, Key="k", UploadId=upload_id, PartNumber=3, Body=b"end")
    for key in ("parts", "plain"):
        s3.delete_object(Bucket=bucket, Key=key)
    finish(s3, bucket, upload_id, one, two, {"ETag": three["ETag"]})
    assert read(s3, bucket, "k") == FIRST + SECOND + SECOND + b"end"


def test_upload_part_copy_of_one_object_into_every_part(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=FIRST)
    upload_id = begin(s3, bucket, "k")
    results = [copied(s3, bucket, upload_id, number, "k") for number in (1, 2, 3)]
    finish(s3, bucket, upload_id, *results)  # over its own source
    assert read(s3, bucket, "k") == FIRST * 3


@pytest.mark.parametrize(
    "text", ["0-2", "bytes=0", "bytes=-3", "bytes=1-", "bytes=2-1", "bytes=a-b", "bytes=0-1,2-3", "bytes=0--1"]
)
def test_upload_part_copy_of_malformed_range_is_refused(s3: Any, bucket: str, text: str) -> None:
    s3.put_object(Bucket=bucket, Key="source", Body=b"0123456789")
    upload_id = begin(s3, bucket, "k")
    with_range = {"upload_id": upload_id, "number": 1, "source": "source", "CopySourceRange": text}
    error = refused(400, "InvalidArgument", copied, s3=s3, bucket=bucket, **with_range)
    assert error["Message"] == (  # B081
        "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based "
        "offsets of the first and last bytes to copy"
    )
    assert (error["ArgumentName"], error["ArgumentValue"]) == ("x-amz-copy-source-range", text)


def test_upload_part_copy_of_range_outside_the_source_is_refused(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="source", Body=b"0123456789")
    s3.put_object(Bucket=bucket, Key="empty", Body=b"")
    same = {"s3": s3, "bucket": bucket, "upload_id": begin(s3, bucket, "k"), "number": 1}
    error = refused(400, "InvalidArgument", copied, **same, source="source", CopySourceRange="bytes=9-10")
    assert error["Message"] == "Range specified is not valid for source object of size: 10"  # B081
    assert (error["ArgumentName"], error["ArgumentValue"]) == ("x-amz-copy-source-range", "bytes=9-10")
    for source, text in (("source", "bytes=10-20"), ("empty", "bytes=0-0")):
        error = refused(400, "InvalidRequest", copied, **same, source=source, CopySourceRange=text)
        assert error["Message"] == "The specified copy range is invalid for the source object size"  # B081
    assert copied(**same, source="source", CopySourceRange="bytes=9-9")["ETag"] == md5_of(b"9")


@pytest.mark.parametrize(
    ("condition", "value", "failing"),
    [
        ("IfMatch", "there", False),
        ("IfMatch", "other", True),
        ("IfNoneMatch", "there", True),
        ("IfNoneMatch", "other", False),
        ("IfUnmodifiedSince", PAST, True),
        ("IfModifiedSince", PAST, False),
    ],
)
def test_upload_part_copy_under_conditions(s3: Any, bucket: str, condition: str, value: Any, failing: bool) -> None:
    etags = {"there": s3.put_object(Bucket=bucket, Key="source", Body=b"x")["ETag"], "other": md5_of(b"other")}
    upload_id = begin(s3, bucket, "k")
    same = {"s3": s3, "bucket": bucket, "upload_id": upload_id, "number": 1, "source": "source"}
    asked = {f"CopySource{condition}": etags.get(value, value)}
    if not failing:
        assert copied(**same, **asked)["ETag"] == etags["there"]
        return
    error = refused(412, "PreconditionFailed", copied, **same, **asked)
    spelling = {"IfMatch": "If-Match", "IfNoneMatch": "If-None-Match", "IfUnmodifiedSince": "If-Unmodified-Since"}
    assert error["Condition"] == f"x-amz-copy-source-{spelling[condition]}"  # B079
    assert "Parts" not in s3.list_parts(Bucket=bucket, Key="k", UploadId=upload_id)


@pytest.mark.parametrize("kept", ["CRC32", "SHA256", "CRC64NVME"])
@pytest.mark.parametrize("algorithm", ["CRC32", "SHA256"])
def test_upload_part_copy_computes_the_uploads_checksum(s3: Any, bucket: str, algorithm: str, kept: str) -> None:
    s3.put_object(Bucket=bucket, Key="source", Body=FIRST, ChecksumAlgorithm=kept)
    upload_id = begin(s3, bucket, "k", ChecksumAlgorithm=algorithm)
    whole = copied(s3, bucket, upload_id, 1, "source")
    piece = copied(s3, bucket, upload_id, 2, "source", CopySourceRange="bytes=1-3")
    assert whole[f"Checksum{algorithm}"] == checksum(algorithm, FIRST)  # B063
    assert piece[f"Checksum{algorithm}"] == checksum(algorithm, FIRST[1:4])
    answer = finish(s3, bucket, upload_id, whole, piece)
    assert answer[f"Checksum{algorithm}"] == composite(algorithm, FIRST, FIRST[1:4])


def test_upload_part_copy_of_missing_sources(s3: Any, bucket: str) -> None:
    upload_id = begin(s3, bucket, "k")
    same = {"s3": s3, "bucket": bucket, "upload_id": upload_id, "number": 1}
    assert refused(404, "NoSuchKey", copied, **same, source="missing")["Key"] == "missing"
    same = {"Bucket": bucket, "Key": "k", "UploadId": upload_id, "PartNumber": 1}
    assert (
        refused(404, "NoSuchBucket", s3.upload_part_copy, **same, CopySource="missing-bucket/k")["BucketName"] == "missing-bucket"
    )


def test_upload_part_copy_into_unknown_upload(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="source", Body=b"x")
    same = {"s3": s3, "bucket": bucket, "source": "source"}
    assert refused(404, "NoSuchUpload", copied, **same, upload_id="nonsense", number=1)["UploadId"] == "nonsense"
    refused(400, "InvalidArgument", copied, **same, upload_id=begin(s3, bucket, "k"), number=10001)  # B082
