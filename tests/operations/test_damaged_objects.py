"""Bytes that changed behind the server's back: a GET of all of them fails, and never looks whole."""

import os
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from ..helpers import files_of, query, read
from ..servers import Server

MIB = 1 << 20
PART = 5 * MIB


@pytest.mark.parametrize("size", [100, 300_000, 3 * MIB])
def test_get_object_whose_last_byte_is_another_fails(server: Server, s3: Any, bucket: str, size: int) -> None:
    s3.put_object(Bucket=bucket, Key="a", Body=os.urandom(size))
    flip_last_byte(server, bucket, size)
    assert_not_whole(server, bucket)
    assert s3.head_object(Bucket=bucket, Key="a")["ContentLength"] == size


def test_get_object_of_a_damaged_part_fails_and_other_parts_are_read(server: Server, s3: Any, bucket: str) -> None:
    parts = [os.urandom(PART), os.urandom(MIB)]
    upload = s3.create_multipart_upload(Bucket=bucket, Key="a")["UploadId"]
    done = []
    for number, part in enumerate(parts, 1):
        etag = s3.upload_part(Bucket=bucket, Key="a", UploadId=upload, PartNumber=number, Body=part)["ETag"]
        done.append({"PartNumber": number, "ETag": etag})
    s3.complete_multipart_upload(Bucket=bucket, Key="a", UploadId=upload, MultipartUpload={"Parts": done})
    flip_last_byte(server, bucket, MIB)
    assert_not_whole(server, bucket)
    first = s3.get_object(Bucket=bucket, Key="a", Range=f"bytes=0-{PART - 1}")
    assert first["Body"].read() == parts[0]


def test_get_object_known_to_be_damaged_is_refused(server: Server, s3: Any, bucket: str) -> None:
    if "DATABASE_URL" not in server.environment:
        pytest.skip("the mark is the same on SQLite, whose file another process should not write to")
    s3.put_object(Bucket=bucket, Key="a", Body=b"x" * 2000)
    query(server, "UPDATE post3_blob SET state = 3 WHERE id = ? RETURNING id", [blob_of(server, bucket, 2000)])
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=bucket, Key="a", Range="bytes=0-9")
    assert caught.value.response["Error"]["Code"] == "InternalError"
    with pytest.raises(ClientError) as caught:
        s3.copy_object(Bucket=bucket, Key="b", CopySource={"Bucket": bucket, "Key": "a"})
    assert caught.value.response["Error"]["Code"] == "InternalError"
    assert "damaged" in caught.value.response["Error"]["Message"]


def assert_not_whole(server: Server, bucket: str) -> None:
    """A small answer is an error; a larger one, whose head is out already, breaks off. The client does not check it."""
    s3 = server.client(response_checksum_validation="when_required")
    with pytest.raises((ClientError, BotoCoreError, HTTPError)) as caught:
        read(s3, bucket, "a")
    if isinstance(caught.value, ClientError):
        assert caught.value.response["Error"]["Code"] == "InternalError"


def blob_of(server: Server, bucket: str, size: int) -> int:
    """The id of the bucket's one blob of that size."""
    statement = (
        "SELECT bl.id FROM post3_blob bl WHERE bl.size = ? AND bl.id IN (SELECT coalesce(p.blob_id, o.blob_id) "
        "FROM post3_object o JOIN post3_bucket b ON b.id = o.bucket_id "
        "LEFT JOIN post3_objectpart p ON p.object_id = o.id WHERE b.name = ?)"
    )
    ((blob_id,),) = query(server, statement, [size, bucket])
    return blob_id


def flip_last_byte(server: Server, bucket: str, size: int) -> None:
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
