"""CompleteMultipartUpload: the checksum of the whole, from those of its parts."""

from typing import Any
from xml.etree import ElementTree

import pytest

from tests.raw import RawClient

from .listed import refused
from .multipart import FIRST, NAMESPACE, begin, checksum, complete, composite, document, etag_of, send, upload


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "SHA1", "SHA256"])
def test_complete_multipart_upload_with_composite_checksum(s3: Any, bucket: str, algorithm: str) -> None:
    upload_id = begin(s3, bucket, "k", ChecksumAlgorithm=algorithm)
    parts = send(s3, bucket, "k", upload_id, {1: FIRST, 2: b"end"}, ChecksumAlgorithm=algorithm)
    answer = complete(s3, bucket, "k", upload_id, parts)
    whole = composite(algorithm, FIRST, b"end")
    assert (answer[f"Checksum{algorithm}"], answer["ChecksumType"]) == (whole, "COMPOSITE")  # B062
    head = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert (head[f"Checksum{algorithm}"], head["ChecksumType"]) == (whole, "COMPOSITE")
    part = s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED", PartNumber=2)
    assert part[f"Checksum{algorithm}"] == checksum(algorithm, b"end")  # B059


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "CRC64NVME"])
def test_complete_multipart_upload_with_checksum_of_the_whole(s3: Any, bucket: str, algorithm: str) -> None:
    kind = {"ChecksumAlgorithm": algorithm, "ChecksumType": "FULL_OBJECT"}
    data = checksum(algorithm, FIRST + b"end")
    upload_id = begin(s3, bucket, "k", **kind)
    parts = send(s3, bucket, "k", upload_id, {1: FIRST, 2: b"end"}, ChecksumAlgorithm=algorithm)
    answer = complete(s3, bucket, "k", upload_id, parts, **{f"Checksum{algorithm}": data}, ChecksumType="FULL_OBJECT")
    assert (answer[f"Checksum{algorithm}"], answer["ChecksumType"]) == (data, "FULL_OBJECT")
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert (got[f"Checksum{algorithm}"], got["ChecksumType"]) == (data, "FULL_OBJECT")
    assert got["Body"].read() == FIRST + b"end"


def test_complete_multipart_upload_with_wrong_checksum_of_the_whole_is_refused(s3: Any, bucket: str) -> None:
    upload_id = begin(s3, bucket, "k", ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")
    parts = send(s3, bucket, "k", upload_id, {1: FIRST, 2: b"end"}, ChecksumAlgorithm="CRC32")
    arguments = {"Bucket": bucket, "Key": "k", "UploadId": upload_id, "MultipartUpload": {"Parts": parts}}
    wrong = checksum("CRC32", b"other")
    error = refused(400, "BadDigest", s3.complete_multipart_upload, **arguments, ChecksumCRC32=wrong)
    assert error["Message"] == "The CRC32 you specified did not match the calculated checksum."
    refused(404, "NoSuchKey", s3.get_object, Bucket=bucket, Key="k")
    complete(s3, bucket, "k", upload_id, parts)


def test_complete_multipart_upload_without_algorithm_answers_crc64nvme(s3: Any, bucket: str) -> None:
    # boto3 sends a CRC32 with every part unless told otherwise; the upload named none.
    answer = upload(s3, bucket, "k", {1: FIRST, 2: b"end"})
    assert answer["ETag"] == etag_of(FIRST, b"end")
    assert (answer.get("ChecksumCRC64NVME"), answer.get("ChecksumType")) == (checksum("CRC64NVME", FIRST + b"end"), "FULL_OBJECT")


def test_complete_multipart_upload_of_parts_without_checksums_answers_crc64nvme(s3: Any, bucket: str, raw: RawClient) -> None:
    upload_id = raw_begin(raw, bucket, "k")
    etags = []
    for number, data in ((1, FIRST), (2, b"end")):
        answer = raw.send("PUT", f"/{bucket}/k", f"partNumber={number}&uploadId={upload_id}", body=data)
        etags.append((number, answer.headers["etag"].strip('"')))
    root = ElementTree.fromstring(raw.send("POST", f"/{bucket}/k", f"uploadId={upload_id}", body=document(*etags)).body)
    assert root.findtext(f"{NAMESPACE}ChecksumCRC64NVME") == checksum("CRC64NVME", FIRST + b"end")  # B062
    assert root.findtext(f"{NAMESPACE}ChecksumType") == "FULL_OBJECT"


def raw_begin(raw: RawClient, bucket: str, key: str) -> str:
    root = ElementTree.fromstring(raw.send("POST", f"/{bucket}/{key}", "uploads=").body)
    return root.findtext(f"{NAMESPACE}UploadId") or ""


def test_complete_multipart_upload_with_composite_wants_every_checksum(s3: Any, bucket: str) -> None:
    upload_id = begin(s3, bucket, "k", ChecksumAlgorithm="CRC32")
    parts = send(s3, bucket, "k", upload_id, {1: FIRST, 2: b"end"}, ChecksumAlgorithm="CRC32")
    arguments = {"Bucket": bucket, "Key": "k", "UploadId": upload_id}
    missing = {"Parts": [parts[0], {"PartNumber": 2, "ETag": parts[1]["ETag"]}]}
    error = refused(400, "InvalidRequest", s3.complete_multipart_upload, **arguments, MultipartUpload=missing)
    assert error["Message"] == (  # B063
        "The upload was created using a crc32 checksum. The complete request must include the checksum for each part. "
        "It was missing for part 2 in the request."
    )
    wrong = {"Parts": [parts[0], {**parts[1], "ChecksumCRC32": checksum("CRC32", b"other")}]}
    assert refused(400, "InvalidPart", s3.complete_multipart_upload, **arguments, MultipartUpload=wrong)["PartNumber"] == "2"
    complete(s3, bucket, "k", upload_id, parts)
