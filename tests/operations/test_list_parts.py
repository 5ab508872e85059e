"""ListParts."""

from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.raw import RawClient
from tests.servers import Server

from .listed import refused
from .multipart import NAMESPACE, begin, checksum, md5_of, send

#: With gaps, and with an order that differs from the order of the digits.
NUMBERS = (1, 2, 3, 9, 10, 11, 100, 101, 9999, 10000)


@pytest.fixture(scope="module")
def under_way(s3: Any) -> Iterator[dict[str, str]]:
    """Yield the Bucket, Key and UploadId of an upload with ten parts."""
    s3.create_bucket(Bucket="list-parts")
    upload_id = begin(s3, "list-parts", "a ü")
    send(s3, "list-parts", "a ü", upload_id, {number: b"%d" % number for number in reversed(NUMBERS)})
    yield {"Bucket": "list-parts", "Key": "a ü", "UploadId": upload_id}
    s3.abort_multipart_upload(Bucket="list-parts", Key="a ü", UploadId=upload_id)
    s3.delete_bucket(Bucket="list-parts")


def test_list_parts_in_order_of_their_numbers(s3: Any, under_way: dict[str, str]) -> None:
    page = s3.list_parts(**under_way)
    assert {name: page[name] for name in under_way} == under_way
    found = [(part["PartNumber"], part["ETag"], part["Size"]) for part in page["Parts"]]
    assert found == [(number, md5_of(b"%d" % number), len(str(number))) for number in NUMBERS]
    assert (page["PartNumberMarker"], page["NextPartNumberMarker"], page["MaxParts"]) == (0, 10000, 1000)  # B090
    assert (page["IsTruncated"], page["StorageClass"]) == (False, "STANDARD")
    owner = s3.list_objects(Bucket=under_way["Bucket"])
    assert page["Owner"]["ID"] == page["Initiator"]["ID"] and len(page["Owner"]["ID"]) == 64
    assert "Contents" not in owner


@pytest.mark.parametrize("size", range(1, len(NUMBERS) + 2))
def test_list_parts_in_pages_of_every_size(s3: Any, under_way: dict[str, str], size: int) -> None:
    found: list[int] = []
    marker = 0
    while True:
        page = s3.list_parts(**under_way, MaxParts=size, PartNumberMarker=marker)
        numbers = [part["PartNumber"] for part in page["Parts"]]
        found += numbers
        assert (page["PartNumberMarker"], page["NextPartNumberMarker"], page["MaxParts"]) == (marker, numbers[-1], size)
        assert page["IsTruncated"] == (len(found) < len(NUMBERS))
        if not page["IsTruncated"]:
            break
        assert len(numbers) == size
        marker = page["NextPartNumberMarker"]
    assert tuple(found) == NUMBERS


@pytest.mark.parametrize(("marker", "first"), [(3, 9), (4, 9), (9999, 10000), (10000, None), (2**31 - 1, None)])
def test_list_parts_after_a_marker(s3: Any, under_way: dict[str, str], marker: int, first: int | None) -> None:
    page = s3.list_parts(**under_way, PartNumberMarker=marker)
    parts = page.get("Parts", [])
    assert (parts[0]["PartNumber"] if parts else None) == first
    assert page["NextPartNumberMarker"] == (10000 if parts else 0) and not page["IsTruncated"]  # B090


def test_list_parts_with_empty_marker_and_size_is_like_without(raw: RawClient, under_way: dict[str, str]) -> None:
    answer = raw.send("GET", "/list-parts/a%20%C3%BC", f"max-parts=&part-number-marker=&uploadId={under_way['UploadId']}")
    assert answer.status == 200 and answer.body.count(b"<Part>") == len(NUMBERS)  # B090
    assert b"<PartNumberMarker>0</PartNumberMarker>" in answer.body and b"<MaxParts>1000</MaxParts>" in answer.body


@pytest.mark.parametrize("name", ["max-parts", "part-number-marker"])
@pytest.mark.parametrize("text", ["-1", "x", "2147483648"])
def test_list_parts_with_impossible_numbers_is_refused(raw: RawClient, under_way: dict[str, str], name: str, text: str) -> None:
    answer = raw.send("GET", "/list-parts/a%20%C3%BC", f"{name}={text}&uploadId={under_way['UploadId']}")
    root = ElementTree.fromstring(answer.body)
    assert answer.status == 400 and root.findtext("Code") == "InvalidArgument"
    if text == "-1":
        assert root.findtext("Message") == f"Argument {name} must be an integer between 0 and 2147483647"  # B090
    assert (root.findtext("ArgumentName"), root.findtext("ArgumentValue")) == (name, text)


def test_list_parts_returns_at_most_a_thousand_at_once(raw: RawClient, under_way: dict[str, str]) -> None:
    answer = raw.send("GET", "/list-parts/a%20%C3%BC", f"max-parts=5000&uploadId={under_way['UploadId']}")
    assert b"<MaxParts>1000</MaxParts>" in answer.body


def test_list_parts_of_an_upload_without_parts(s3: Any, bucket: str, raw: RawClient) -> None:
    upload_id = begin(s3, bucket, "k")
    answer = raw.send("GET", f"/{bucket}/k", f"uploadId={upload_id}")
    root = ElementTree.fromstring(answer.body)
    names = [(child.tag.removeprefix(NAMESPACE), child.text) for child in root if len(child) == 0]
    assert (answer.status, root.tag) == (200, f"{NAMESPACE}ListPartsResult")
    assert names == [
        ("Bucket", bucket),
        ("Key", "k"),
        ("UploadId", upload_id),
        ("StorageClass", "STANDARD"),
        ("PartNumberMarker", "0"),
        ("NextPartNumberMarker", "0"),
        ("MaxParts", "1000"),
        ("IsTruncated", "false"),
    ]


def test_list_parts_returns_the_checksums_of_an_upload_that_named_an_algorithm(s3: Any, bucket: str) -> None:
    upload_id = begin(s3, bucket, "k", ChecksumAlgorithm="CRC32C")
    send(s3, bucket, "k", upload_id, {1: b"one", 2: b"two"}, ChecksumAlgorithm="CRC32C")
    page = s3.list_parts(Bucket=bucket, Key="k", UploadId=upload_id)
    assert [part["ChecksumCRC32C"] for part in page["Parts"]] == [checksum("CRC32C", data) for data in (b"one", b"two")]
    assert (page["ChecksumAlgorithm"], page["ChecksumType"]) == ("CRC32C", "COMPOSITE")


def test_list_parts_of_unknown_uploads(s3: Any, server: Server, bucket: str, under_way: dict[str, str]) -> None:
    for upload_id in ("nonsense", under_way["UploadId"]):
        assert refused(404, "NoSuchUpload", s3.list_parts, Bucket=bucket, Key="a ü", UploadId=upload_id)["UploadId"] == upload_id
    refused(404, "NoSuchBucket", s3.list_parts, Bucket="missing-bucket", Key="k", UploadId="x")
