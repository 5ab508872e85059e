"""Bytes that changed behind the server's back: a GET of the object fails and never looks complete."""

import os
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from ..helpers import BLOB, etag_of, files_of, query, read, refusal
from ..servers import Server

MIB = 1 << 20
PART = 5 * MIB


@pytest.mark.parametrize("size", [100, BLOB, 300_000, 3 * MIB])
def test_get_object_whose_last_byte_changed_fails(server: Server, s3: Any, bucket: str, size: int) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=os.urandom(size))
    flip_last_byte(server, bucket, size)
    assert_not_whole(server, bucket)
    assert s3.head_object(Bucket=bucket, Key="a")["ContentLength"] == size


def test_get_object_of_a_damaged_part_fails_and_other_parts_are_read(server: Server, s3: Any, bucket: str) -> None:
    parts = [os.urandom(PART), os.urandom(MIB)]
    upload_all(s3, bucket, parts)
    flip_last_byte(server, bucket, MIB)
    assert_not_whole(server, bucket)
    first = s3.get_object(Bucket=bucket, Key="a", Range=f"bytes=0-{PART - 1}")
    assert first["Body"].read() == parts[0]


RANGES = ["bytes=0-9", "bytes=-1", "bytes=1000-", "bytes=0-"]


@pytest.mark.parametrize("size", [BLOB, 300_000, 3 * MIB])
def test_get_object_known_to_be_damaged_is_refused_in_ranges_too(server: Server, s3: Any, bucket: str, size: int) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=b"x" * size)
    mark_damaged(server, bucket, size)
    for arguments in ({}, *({"Range": text} for text in RANGES), {"PartNumber": 1}):
        assert_refused(s3.get_object, Bucket=bucket, Key="a", **arguments)
    assert s3.head_object(Bucket=bucket, Key="a")["ContentLength"] == size


@pytest.mark.parametrize("size", [100, BLOB, 300_000, 3 * MIB])
def test_damage_found_by_a_complete_read_is_known_to_ranges(server: Server, s3: Any, bucket: str, size: int) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=os.urandom(size))
    flip_last_byte(server, bucket, size)
    assert_not_whole(server, bucket)
    for text in ("bytes=0-9", "bytes=-1"):
        assert_refused(s3.get_object, Bucket=bucket, Key="a", Range=text)
    assert_refused(s3.copy_object, Bucket=bucket, Key="b", CopySource={"Bucket": bucket, "Key": "a"})


def test_copies_of_an_object_known_to_be_damaged_are_refused(server: Server, s3: Any, bucket: str) -> None:
    size = PART + 1
    s3.put_object(Bucket=bucket, Key="a", Body=b"x" * size)
    mark_damaged(server, bucket, size)
    source = {"Bucket": bucket, "Key": "a"}
    assert_refused(s3.copy_object, Bucket=bucket, Key="b", CopySource=source)
    whole = {"Bucket": bucket, "Key": "b", "UploadId": s3.create_multipart_upload(Bucket=bucket, Key="b")["UploadId"]}
    assert_refused(s3.upload_part_copy, **whole, PartNumber=1, CopySource=source)
    assert_refused(s3.upload_part_copy, **whole, PartNumber=1, CopySource=source, CopySourceRange="bytes=0-9")
    assert "Parts" not in s3.list_parts(**whole)


def test_damaged_part_is_refused_before_the_response_starts_and_other_parts_are_read(
    server: Server, s3: Any, bucket: str
) -> None:
    parts = [os.urandom(PART), os.urandom(PART + 1), os.urandom(MIB)]
    upload_all(s3, bucket, parts)
    mark_damaged(server, bucket, PART + 1)
    touching = [
        {},
        {"PartNumber": 2},
        {"Range": f"bytes={PART - 10}-{PART}"},  # the first bytes belong to an undamaged part
        {"Range": f"bytes={PART + 5}-{PART + 9}"},
        {"Range": f"bytes={2 * PART}-"},
        {"Range": f"bytes=-{MIB + 1}"},
    ]
    for arguments in touching:
        assert_refused(s3.get_object, Bucket=bucket, Key="a", **arguments)
    for arguments, wanted in (
        ({"PartNumber": 1}, parts[0]),
        ({"PartNumber": 3}, parts[2]),
        ({"Range": f"bytes=0-{PART - 1}"}, parts[0]),
        ({"Range": f"bytes=-{MIB}"}, parts[2]),
    ):
        assert s3.get_object(Bucket=bucket, Key="a", **arguments)["Body"].read() == wanted
    source = {"Bucket": bucket, "Key": "a"}
    assert_refused(s3.copy_object, Bucket=bucket, Key="b", CopySource=source)
    whole = {"Bucket": bucket, "Key": "b", "UploadId": s3.create_multipart_upload(Bucket=bucket, Key="b")["UploadId"]}
    copy = {**whole, "PartNumber": 1, "CopySource": source}
    assert_refused(s3.upload_part_copy, **copy, CopySourceRange=f"bytes={PART - 10}-{PART}")
    s3.upload_part_copy(**copy, CopySourceRange=f"bytes=0-{PART - 1}")
    assert s3.list_parts(**whole)["Parts"][0]["ETag"] == etag_of(parts[0])


def test_complete_multipart_upload_of_a_damaged_part_is_refused(server: Server, s3: Any, bucket: str) -> None:
    whole = {"Bucket": bucket, "Key": "a", "UploadId": s3.create_multipart_upload(Bucket=bucket, Key="a")["UploadId"]}
    etag = s3.upload_part(**whole, PartNumber=1, Body=b"x" * 2000)["ETag"]
    statement = (
        "UPDATE post3_blob SET state = 3 WHERE id = (SELECT p.blob_id FROM post3_uploadpart p "
        "JOIN post3_multipartupload u ON u.id = p.upload_id WHERE u.upload_id = ?) RETURNING id"
    )
    assert query(server, statement, [whole["UploadId"]])
    complete = {**whole, "MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": etag}]}}
    assert_refused(s3.complete_multipart_upload, **complete)
    s3.upload_part(**whole, PartNumber=1, Body=b"x" * 2000)  # the client still has the part
    s3.complete_multipart_upload(**complete)
    assert read(s3, bucket, "a") == b"x" * 2000


def assert_refused(call: Any, **arguments: Any) -> None:
    refused = refusal(call, **arguments)
    assert (refused.status, refused.code) == (500, "InternalError"), arguments
    assert "damaged" in refused.message


def mark_damaged(server: Server, bucket: str, size: int) -> None:
    """Do what scrubbing does when it finds damage."""
    assert query(server, "UPDATE post3_blob SET state = 3 WHERE id = ? RETURNING id", [blob_of(server, bucket, size)])


def upload_all(s3: Any, bucket: str, parts: list[bytes]) -> None:
    """Upload the object `a` in these parts."""
    upload = s3.create_multipart_upload(Bucket=bucket, Key="a")["UploadId"]
    done = []
    for number, part in enumerate(parts, 1):
        etag = s3.upload_part(Bucket=bucket, Key="a", UploadId=upload, PartNumber=number, Body=part)["ETag"]
        done.append({"PartNumber": number, "ETag": etag})
    s3.complete_multipart_upload(Bucket=bucket, Key="a", UploadId=upload, MultipartUpload={"Parts": done})


def assert_not_whole(server: Server, bucket: str) -> None:
    """Check that reading the object fails, even if the client verifies no checksum.

    A small response is an error. A larger one is interrupted, because its headers have been sent already.
    """
    s3 = server.client(response_checksum_validation="when_required")
    with pytest.raises((ClientError, BotoCoreError, HTTPError)) as caught:
        read(s3, bucket, "a")
    if isinstance(caught.value, ClientError):
        assert caught.value.response["Error"]["Code"] == "InternalError"


def blob_of(server: Server, bucket: str, size: int) -> int:
    """Return the ID of the bucket's only blob of that size."""
    statement = (
        "SELECT bl.id FROM post3_blob bl WHERE bl.size = ? AND bl.id IN (SELECT coalesce(p.blob_id, o.blob_id) "
        "FROM post3_object o JOIN post3_bucket b ON b.id = o.bucket_id "
        "LEFT JOIN post3_objectpart p ON p.object_id = o.id WHERE b.name = ?)"
    )
    ((blob_id,),) = query(server, statement, [size, bucket])
    return blob_id


def flip_last_byte(server: Server, bucket: str, size: int) -> None:
    if "DATABASE_URL" in server.environment and size < BLOB:
        statement = (
            "UPDATE post3_object SET data = set_byte(data, length(data) - 1, get_byte(data, length(data) - 1) # 1) "
            "WHERE length(data) = ? AND bucket_id = (SELECT id FROM post3_bucket WHERE name = ?) RETURNING key"
        )
        assert query(server, statement, [size, bucket]) == [("a",)]
        return
    if "DATABASE_URL" in server.environment:
        statement = (
            "UPDATE post3_block SET data = set_byte(data, length(data) - 1, get_byte(data, length(data) - 1) # 1) "
            'WHERE blob_id = ? AND "index" = (SELECT max("index") FROM post3_block WHERE blob_id = ?) RETURNING blob_id'
        )
        blob_id = blob_of(server, bucket, size)
        assert query(server, statement, [blob_id, blob_id]) == [(blob_id,)]
        return
    root = server.data_dir / "var" / "objects"
    found = [root / name for name in files_of(server) if name.startswith(f"{bucket}/") and not name.endswith(".json")]
    (path,) = [path for path in found if path.stat().st_size == size]
    with open(path, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)[0]
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last ^ 1]))
