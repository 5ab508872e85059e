"""CompleteMultipartUpload: the checksum of the object, computed from the checksums of its parts."""

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
def test_complete_multipart_upload_with_full_object_checksum(s3: Any, bucket: str, algorithm: str) -> None:
    kind = {"ChecksumAlgorithm": algorithm, "ChecksumType": "FULL_OBJECT"}
    data = checksum(algorithm, FIRST + b"end")
    upload_id = begin(s3, bucket, "k", **kind)
    parts = send(s3, bucket, "k", upload_id, {1: FIRST, 2: b"end"}, ChecksumAlgorithm=algorithm)
    answer = complete(s3, bucket, "k", upload_id, parts, **{f"Checksum{algorithm}": data}, ChecksumType="FULL_OBJECT")
    assert (answer[f"Checksum{algorithm}"], answer["ChecksumType"]) == (data, "FULL_OBJECT")
    got = s3.get_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")
    assert (got[f"Checksum{algorithm}"], got["ChecksumType"]) == (data, "FULL_OBJECT")
    assert got["Body"].read() == FIRST + b"end"


def test_complete_multipart_upload_with_wrong_full_object_checksum_is_refused(s3: Any, bucket: str) -> None:
    upload_id = begin(s3, bucket, "k", ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")
    parts = send(s3, bucket, "k", upload_id, {1: FIRST, 2: b"end"}, ChecksumAlgorithm="CRC32")
    arguments = {"Bucket": bucket, "Key": "k", "UploadId": upload_id, "MultipartUpload": {"Parts": parts}}
    wrong = checksum("CRC32", b"other")
    error = refused(400, "BadDigest", s3.complete_multipart_upload, **arguments, ChecksumCRC32=wrong)
    assert error["Message"] == "The crc32 you specified did not match the calculated checksum."  # B142
    refused(404, "NoSuchKey", s3.get_object, Bucket=bucket, Key="k")
    complete(s3, bucket, "k", upload_id, parts)


def test_complete_multipart_upload_without_algorithm_returns_crc64nvme(s3: Any, bucket: str) -> None:
    # boto3 sends a CRC32 with every part by default; the upload did not name an algorithm.
    answer = upload(s3, bucket, "k", {1: FIRST, 2: b"end"})
    assert answer["ETag"] == etag_of(FIRST, b"end")
    assert (answer.get("ChecksumCRC64NVME"), answer.get("ChecksumType")) == (checksum("CRC64NVME", FIRST + b"end"), "FULL_OBJECT")


def test_complete_multipart_upload_of_parts_without_checksums_returns_crc64nvme(s3: Any, bucket: str, raw: RawClient) -> None:
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


def test_complete_multipart_upload_with_composite_requires_every_checksum(s3: Any, bucket: str) -> None:
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


COMPOSITE, WHOLE = "COMPOSITE", "FULL_OBJECT"


@pytest.mark.parametrize(
    ("named", "kept", "asked"),
    [
        ({"ChecksumAlgorithm": "CRC32"}, COMPOSITE, WHOLE),
        ({"ChecksumAlgorithm": "SHA256"}, COMPOSITE, WHOLE),
        ({"ChecksumAlgorithm": "CRC32C", "ChecksumType": WHOLE}, WHOLE, COMPOSITE),
        ({"ChecksumAlgorithm": "CRC64NVME"}, WHOLE, COMPOSITE),
        ({}, "null", WHOLE),
        ({}, "null", COMPOSITE),
    ],
)
def test_complete_multipart_upload_with_another_checksum_type_is_refused(
    s3: Any, bucket: str, named: dict[str, str], kept: str, asked: str
) -> None:
    upload_id = begin(s3, bucket, "k", **named)
    named = {name: value for name, value in named.items() if name == "ChecksumAlgorithm"}
    parts = send(s3, bucket, "k", upload_id, {1: b"x"}, **named)
    arguments = {"Bucket": bucket, "Key": "k", "UploadId": upload_id}
    unlisted = [{"PartNumber": part["PartNumber"], "ETag": part["ETag"]} for part in parts]
    for listed in (parts, unlisted):
        error = refused(
            400,
            "InvalidRequest",
            s3.complete_multipart_upload,
            **arguments,
            MultipartUpload={"Parts": listed},
            ChecksumType=asked,
        )
        assert error["Message"] == (  # B142
            f"The upload was created using the {kept} checksum mode. The complete request must use the same checksum mode."
        )
    complete(s3, bucket, "k", upload_id, parts, **({"ChecksumType": kept} if kept != "null" else {}))


def test_complete_multipart_upload_with_an_invalid_checksum_type_is_refused(s3: Any, bucket: str, raw: RawClient) -> None:
    upload_id = begin(s3, bucket, "k", ChecksumAlgorithm="CRC32")
    body = document((1, "0" * 32))
    answer = raw.send("POST", f"/{bucket}/k", f"uploadId={upload_id}", [("x-amz-checksum-type", "nonsense")], body)
    assert answer.status == 400 and b"<Message>Value for x-amz-checksum-type header is invalid.</Message>" in answer.body


@pytest.mark.parametrize(
    ("named", "other"),
    [
        ({"ChecksumAlgorithm": "CRC32"}, "SHA256"),
        ({"ChecksumAlgorithm": "SHA256"}, "CRC32"),
        ({"ChecksumAlgorithm": "SHA1"}, "CRC64NVME"),
        ({"ChecksumAlgorithm": "CRC32C", "ChecksumType": WHOLE}, "CRC32"),
    ],
)
@pytest.mark.parametrize("right", [True, False])
def test_complete_multipart_upload_with_a_part_checksum_of_another_algorithm_is_refused(
    s3: Any, bucket: str, named: dict[str, str], other: str, right: bool
) -> None:
    upload_id = begin(s3, bucket, "k", **named)
    (part,) = send(s3, bucket, "k", upload_id, {1: b"abc"}, ChecksumAlgorithm=named["ChecksumAlgorithm"])
    sent = {f"Checksum{other}": checksum(other, b"abc" if right else b"other")}
    arguments = {"Bucket": bucket, "Key": "k", "UploadId": upload_id}
    bare = {"PartNumber": 1, "ETag": part["ETag"]}
    for listed in (bare | sent, part | sent):
        error = refused(400, "BadDigest", s3.complete_multipart_upload, **arguments, MultipartUpload={"Parts": [listed]})
        assert error["Message"] == f"The {other.lower()} you specified for part 1 did not match what we received."  # B142
    complete(s3, bucket, "k", upload_id, [part])


@pytest.mark.parametrize("algorithm", ["CRC32", "CRC32C", "SHA1", "SHA256"])
def test_complete_multipart_upload_that_named_no_algorithm_with_part_checksums_is_refused(
    s3: Any, bucket: str, algorithm: str
) -> None:
    upload_id = begin(s3, bucket, "k")
    (part,) = send(s3, bucket, "k", upload_id, {1: b"aaa"}, ChecksumAlgorithm=algorithm)
    arguments = {"Bucket": bucket, "Key": "k", "UploadId": upload_id}
    error = refused(400, "InvalidPart", s3.complete_multipart_upload, **arguments, MultipartUpload={"Parts": [part]})  # B142
    assert error["PartNumber"] == "1"
    complete(s3, bucket, "k", upload_id, [{"PartNumber": 1, "ETag": part["ETag"]}])


def test_complete_multipart_upload_with_an_unknown_part_checksum_is_refused(s3: Any, bucket: str, raw: RawClient) -> None:
    upload_id = begin(s3, bucket, "k", ChecksumAlgorithm="CRC32", ChecksumType=WHOLE)
    (part,) = send(s3, bucket, "k", upload_id, {1: b"abc"}, ChecksumAlgorithm="CRC32")
    for name in ("XXHASH64", "SHA512", "Nonsense"):
        body = document((1, part["ETag"].strip('"'))).replace(b"</Part>", f"<Checksum{name}>a</Checksum{name}></Part>".encode())
        answer = raw.send("POST", f"/{bucket}/k", f"uploadId={upload_id}", body=body)
        assert answer.status == 400 and f"The {name.lower()} you specified for part 1".encode() in answer.body


@pytest.mark.parametrize(
    ("named", "sent"),
    [
        ({"ChecksumAlgorithm": "CRC32C", "ChecksumType": WHOLE}, {"ChecksumCRC64NVME": checksum("CRC64NVME", b"abc")}),
        ({"ChecksumAlgorithm": "CRC32C", "ChecksumType": WHOLE}, {"ChecksumCRC32": checksum("CRC32", b"bad string")}),
        ({"ChecksumAlgorithm": "CRC32C", "ChecksumType": WHOLE}, {"ChecksumCRC32C": composite("CRC32C", b"abc")}),
        ({"ChecksumAlgorithm": "CRC32C", "ChecksumType": WHOLE}, {"ChecksumCRC32C": checksum("CRC32C", b"abc") + "-1"}),
        ({"ChecksumAlgorithm": "CRC32C"}, {"ChecksumCRC32C": composite("CRC32C", b"abc").replace("-1", "-2")}),
        ({"ChecksumAlgorithm": "CRC32C"}, {"ChecksumSHA256": checksum("SHA256", b"abc")}),
    ],
)
def test_complete_multipart_upload_with_a_checksum_that_the_object_does_not_have_is_refused(
    s3: Any, bucket: str, named: dict[str, str], sent: dict[str, str]
) -> None:
    upload_id = begin(s3, bucket, "k", **named)
    parts = send(s3, bucket, "k", upload_id, {1: b"abc"}, ChecksumAlgorithm="CRC32C")
    arguments = {"Bucket": bucket, "Key": "k", "UploadId": upload_id, "MultipartUpload": {"Parts": parts}}
    error = refused(400, "BadDigest", s3.complete_multipart_upload, **arguments, **sent)
    assert error["Message"] == "The crc32c you specified did not match the calculated checksum."  # B142
    complete(s3, bucket, "k", upload_id, parts)


def test_complete_multipart_upload_with_composite_checksum_of_the_object(s3: Any, bucket: str) -> None:
    whole = composite("SHA1", b"abc")
    for sent in (whole, whole.removesuffix("-1")):
        upload_id = begin(s3, bucket, "k", ChecksumAlgorithm="SHA1")
        parts = send(s3, bucket, "k", upload_id, {1: b"abc"}, ChecksumAlgorithm="SHA1")
        assert complete(s3, bucket, "k", upload_id, parts, ChecksumSHA1=sent)["ChecksumSHA1"] == whole


def test_complete_multipart_upload_that_named_no_algorithm_ignores_a_checksum_of_another(s3: Any, bucket: str) -> None:
    upload_id = begin(s3, bucket, "k")
    parts = send(s3, bucket, "k", upload_id, {1: b"aaa"})
    answer = complete(s3, bucket, "k", upload_id, parts, ChecksumCRC32C=composite("CRC32C", b"aaa").replace("-1", "-2"))
    assert answer["ChecksumCRC64NVME"] == checksum("CRC64NVME", b"aaa")  # B142
    other = begin(s3, bucket, "k")
    arguments = {"Bucket": bucket, "Key": "k", "UploadId": other}
    arguments["MultipartUpload"] = {"Parts": send(s3, bucket, "k", other, {1: b"aaa"})}
    refused(400, "BadDigest", s3.complete_multipart_upload, **arguments, ChecksumCRC64NVME=checksum("CRC64NVME", b"bbb"))


@pytest.mark.parametrize("value", ["nonsense", "", "AAAA", checksum("SHA256", b"x"), "-1"])
def test_complete_multipart_upload_with_an_invalid_object_checksum_is_refused(
    s3: Any, bucket: str, raw: RawClient, value: str
) -> None:
    upload_id = begin(s3, bucket, "k", ChecksumAlgorithm="CRC32")
    body = document((1, "0" * 32))
    answer = raw.send("POST", f"/{bucket}/k", f"uploadId={upload_id}", [("x-amz-checksum-crc32", value)], body)
    assert answer.status == 400 and b"<Message>Value for x-amz-checksum-crc32 header is invalid.</Message>" in answer.body
