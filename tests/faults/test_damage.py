"""Damaged bytes are never returned as complete, and check_storage finds the objects they belong to."""

import os
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionError, HTTPClientError, IncompleteReadError

from tests.helpers import read
from tests.servers import Server

from .breaking import blobs_of, check_storage, file_of, flip, lose_the_end

MIB = 1 << 20
SMALL, LARGE, PART = 10_000, 12 * MIB + 1, 5 * MIB
#: The exceptions of boto3 for an interrupted response.
BROKEN_OFF = (IncompleteReadError, HTTPClientError, ConnectionError)


@pytest.fixture
def once(server: Server) -> Any:
    """Return a client that does not retry."""
    return server.client(retries={"max_attempts": 0})


def put(s3: Any, bucket: str, kind: str) -> bytes:
    data = os.urandom({"small": SMALL, "large": LARGE, "multipart": 2 * PART}[kind])
    if kind != "multipart":
        s3.put_object(Bucket=bucket, Key="k", Body=data)
        return data
    upload = {"Bucket": bucket, "Key": "k"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    parts = [
        {"PartNumber": n + 1, "ETag": s3.upload_part(**upload, PartNumber=n + 1, Body=data[n * PART :][:PART])["ETag"]}
        for n in range(2)
    ]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    return data


@pytest.mark.parametrize("how", ["flipped", "cut"])
@pytest.mark.parametrize("kind", ["small", "large", "multipart"])
def test_get_object_of_damaged_bytes_is_never_complete(
    server: Server, s3: Any, once: Any, bucket: str, kind: str, how: str
) -> None:
    data = put(s3, bucket, kind)
    blob = blobs_of(server, bucket, "k")[-1]
    if how == "flipped":
        flip(server, blob, blob[2] - 1)
    else:
        lose_the_end(server, blob)
    if kind == "small":
        with pytest.raises(ClientError) as refused:
            read(once, bucket, "k")
        assert refused.value.response["Error"]["Code"] == "InternalError"
    else:
        with pytest.raises((*BROKEN_OFF, ClientError)):
            read(once, bucket, "k")
    assert s3.head_object(Bucket=bucket, Key="k")["ContentLength"] == len(data)
    ranged = {"Bucket": bucket, "Key": "k", "Range": f"bytes=10-{MIB}"}
    if kind == "multipart":  # its first part is undamaged
        assert s3.get_object(**ranged)["Body"].read() == data[10 : MIB + 1]
    else:  # a range of bytes known to be damaged could not be verified
        with pytest.raises(ClientError, match="InternalError"):
            once.get_object(**{**ranged, "Range": "bytes=0-9"})


def test_copy_of_damaged_bytes_fails(server: Server, s3: Any, once: Any, bucket: str) -> None:
    data = put(s3, bucket, "multipart")
    flip(server, blobs_of(server, bucket, "k")[1], 7)
    target = {"Bucket": bucket, "Key": "copy", "PartNumber": 1}
    target["UploadId"] = s3.create_multipart_upload(Bucket=bucket, Key="copy")["UploadId"]
    with pytest.raises(ClientError, match="InternalError"):  # an object of several parts is copied by its bytes
        once.upload_part_copy(**target, CopySource={"Bucket": bucket, "Key": "k"})
    assert "Parts" not in s3.list_parts(Bucket=bucket, Key="copy", UploadId=target["UploadId"])
    # The undamaged part can be copied.
    part = s3.upload_part_copy(**target, CopySource={"Bucket": bucket, "Key": "k"}, CopySourceRange=f"bytes=0-{PART - 1}")
    parts = [{"PartNumber": 1, "ETag": part["CopyPartResult"]["ETag"]}]
    del target["PartNumber"]
    s3.complete_multipart_upload(**target, MultipartUpload={"Parts": parts})
    assert read(s3, bucket, "copy") == data[:PART]


def test_check_storage_finds_a_flipped_bit_and_sets_it_aside(server: Server, s3: Any, once: Any, bucket: str) -> None:
    data = put(s3, bucket, "large")
    s3.copy_object(Bucket=bucket, Key="copy", CopySource={"Bucket": bucket, "Key": "k"})
    blob = blobs_of(server, bucket, "k")[0]
    flip(server, blob, 7 * MIB)
    assert not [found for found in check_storage(server)[1] if bucket in str(found)], "sizes alone must not reveal the damage"

    def findings(*arguments: str) -> tuple[int, list[Any]]:
        status, found, _ = check_storage(server, *arguments)
        return status, [(entry["kind"], entry["repaired"]) for entry in found if [bucket, "k"] in entry["affected"]]

    assert findings("--verify") == (2, [("damaged", False)])
    assert findings("--verify", "--repair") == (2, [("damaged", False)])
    for key in ("k", "copy"):
        with pytest.raises(ClientError, match="InternalError"):
            once.get_object(Bucket=bucket, Key=key, Range="bytes=0-9")
    with pytest.raises(ClientError, match="InternalError"):
        once.copy_object(Bucket=bucket, Key="new", CopySource={"Bucket": bucket, "Key": "k"})
    if blob[1]:
        aside = file_of(server, f".quarantine/{blob[1]}")
        assert not file_of(server, blob[1]).exists()
        aside.rename(file_of(server, blob[1]))
    flip(server, blob, 7 * MIB)  # restored from a backup
    assert findings()[1] == [("restored", False)]
    assert findings("--repair")[1] == [("restored", True)]
    assert read(s3, bucket, "k") == read(s3, bucket, "copy") == data
