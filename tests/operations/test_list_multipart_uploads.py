"""ListMultipartUploads."""

from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.raw import RawClient

from .listed import expected, refused
from .multipart import NAMESPACE, begin, complete, send

BUCKET = "list-uploads"
KEYS = ("a", "a", "a", "a/", "a/b", "a/b", "a/c/d", "a::b", "b", "b/1", "b/2", "b/2", "é", "\uff5e", "😀", "😀/x", "\U0010ffff/1")
Uploads = list[tuple[str, str]]


@pytest.fixture(scope="module")
def uploads(s3: Any) -> Iterator[Uploads]:
    """Yield the uploads in progress as (key, id), in listing order: by key, then by start time (B091)."""
    s3.create_bucket(Bucket=BUCKET)
    begun = [(key, begin(s3, BUCKET, key)) for key in reversed(KEYS)]
    order = {upload: number for number, upload in enumerate(begun)}
    yield sorted(begun, key=lambda upload: (upload[0].encode(), order[upload]))
    for key, upload_id in begun:
        s3.abort_multipart_upload(Bucket=BUCKET, Key=key, UploadId=upload_id)
    s3.delete_bucket(Bucket=BUCKET)


def shown(page: dict[str, Any]) -> Uploads:
    return [(upload["Key"], upload["UploadId"]) for upload in page.get("Uploads", [])]


def test_list_multipart_uploads_by_key_then_time(s3: Any, uploads: Uploads) -> None:
    page = s3.list_multipart_uploads(Bucket=BUCKET)
    assert shown(page) == uploads
    assert (page["Bucket"], page["KeyMarker"], page["UploadIdMarker"]) == (BUCKET, "", "")
    assert (page["NextKeyMarker"], page["NextUploadIdMarker"]) == uploads[-1]  # B091
    assert (page["MaxUploads"], page["IsTruncated"], page.get("Prefix", "")) == (1000, False, "")
    first = page["Uploads"][0]
    assert first["StorageClass"] == "STANDARD" and first["Owner"]["ID"] == first["Initiator"]["ID"]


@pytest.mark.parametrize("size", range(1, len(KEYS) + 2))
def test_list_multipart_uploads_in_pages_of_every_size(s3: Any, uploads: Uploads, size: int) -> None:
    found: Uploads = []
    markers: dict[str, str] = {}
    for _ in range(len(KEYS) + 1):
        page = s3.list_multipart_uploads(Bucket=BUCKET, MaxUploads=size, **markers)
        found += shown(page)
        assert (page["NextKeyMarker"], page["NextUploadIdMarker"]) == found[-1]
        if not page["IsTruncated"]:
            break
        assert len(shown(page)) == size
        markers = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
    assert found == uploads


@pytest.mark.parametrize("delimiter", ["", "/", "::", "😀"])
@pytest.mark.parametrize("prefix", ["", "a", "a/", "b/2", "\uff5e", "😀", "none"])
def test_list_multipart_uploads_with_prefix_and_delimiter(s3: Any, uploads: Uploads, prefix: str, delimiter: str) -> None:
    page = s3.list_multipart_uploads(Bucket=BUCKET, Prefix=prefix, Delimiter=delimiter)
    entries = expected(KEYS, prefix, delimiter)
    keys = {name for name, rolled_up in entries if not rolled_up}
    assert shown(page) == [upload for upload in uploads if upload[0] in keys]
    assert [entry["Prefix"] for entry in page.get("CommonPrefixes", [])] == [name for name, rolled_up in entries if rolled_up]
    assert page.get("Delimiter", "") == delimiter and page.get("Prefix", "") == prefix


@pytest.mark.parametrize("delimiter", ["/", "::"])
def test_list_multipart_uploads_with_delimiter_in_pages_of_every_size(s3: Any, uploads: Uploads, delimiter: str) -> None:
    entries = expected(KEYS, "", delimiter)
    whole = {name for name, rolled_up in entries if not rolled_up}
    prefixes = [name for name, rolled_up in entries if rolled_up]
    count = len(prefixes) + sum(key in whole for key in KEYS)
    for size in range(1, count + 1):
        found: Uploads = []
        seen: list[str] = []
        markers: dict[str, str] = {}
        for _ in range(count):
            page = s3.list_multipart_uploads(Bucket=BUCKET, Delimiter=delimiter, MaxUploads=size, **markers)
            found += shown(page)
            seen += [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]
            if not page["IsTruncated"]:
                break
            markers = {"KeyMarker": page["NextKeyMarker"], "UploadIdMarker": page["NextUploadIdMarker"]}
        assert found == [upload for upload in uploads if upload[0] in whole], f"pages of {size}"
        assert seen == prefixes, f"pages of {size}"


@pytest.mark.parametrize("marker", ["a", "a/b", "aa", "😀", "zz", "\U0010ffff"])
def test_list_multipart_uploads_after_a_key_skips_its_uploads(s3: Any, uploads: Uploads, marker: str) -> None:
    page = s3.list_multipart_uploads(Bucket=BUCKET, KeyMarker=marker)
    assert shown(page) == [upload for upload in uploads if upload[0].encode() > marker.encode()]  # B091
    assert page["KeyMarker"] == marker


def test_list_multipart_uploads_after_an_upload(s3: Any, uploads: Uploads) -> None:
    for number, (key, upload_id) in enumerate(uploads):
        page = s3.list_multipart_uploads(Bucket=BUCKET, KeyMarker=key, UploadIdMarker=upload_id)
        assert shown(page) == uploads[number + 1 :]
        assert page["UploadIdMarker"] == upload_id


def test_list_multipart_uploads_after_an_upload_without_its_key(s3: Any, uploads: Uploads) -> None:
    page = s3.list_multipart_uploads(Bucket=BUCKET, UploadIdMarker=uploads[3][1])
    assert shown(page) == uploads and page["UploadIdMarker"] == ""  # B091


def test_list_multipart_uploads_after_an_upload_of_another_key_is_refused(s3: Any, uploads: Uploads) -> None:
    arguments = {"Bucket": BUCKET, "KeyMarker": "a", "UploadIdMarker": uploads[-1][1]}
    assert refused(400, "InvalidArgument", s3.list_multipart_uploads, **arguments)["Message"] == "Invalid uploadId marker"  # B091


def test_list_multipart_uploads_max_uploads_zero_and_too_large(s3: Any, uploads: Uploads) -> None:
    page = s3.list_multipart_uploads(Bucket=BUCKET, MaxUploads=0)
    assert (page["MaxUploads"], page["IsTruncated"], shown(page)) == (0, False, [])
    page = s3.list_multipart_uploads(Bucket=BUCKET, MaxUploads=5000)
    assert (page["MaxUploads"], len(shown(page))) == (1000, len(KEYS))


@pytest.mark.parametrize("text", ["-1", "x", "2147483648"])
def test_list_multipart_uploads_with_impossible_max_uploads_is_refused(raw: RawClient, uploads: Uploads, text: str) -> None:
    answer = raw.send("GET", f"/{BUCKET}", f"max-uploads={text}&uploads=")
    assert answer.status == 400 and b"<Code>InvalidArgument</Code>" in answer.body
    assert f"<ArgumentName>max-uploads</ArgumentName><ArgumentValue>{text}</ArgumentValue>".encode() in answer.body


def test_list_multipart_uploads_of_an_empty_bucket(bucket: str, raw: RawClient) -> None:
    answer = raw.send("GET", f"/{bucket}", "uploads=")
    root = ElementTree.fromstring(answer.body)
    assert (answer.status, root.tag) == (200, f"{NAMESPACE}ListMultipartUploadsResult")
    assert [(child.tag.removeprefix(NAMESPACE), child.text) for child in root] == [
        ("Bucket", bucket),
        ("KeyMarker", None),
        ("UploadIdMarker", None),
        ("NextKeyMarker", None),
        ("NextUploadIdMarker", None),
        ("MaxUploads", "1000"),
        ("IsTruncated", "false"),
    ]
    assert raw.send("GET", f"/{bucket}/", "uploads").status == 200


def test_list_multipart_uploads_with_encoding_type_url(raw: RawClient, uploads: Uploads) -> None:
    query = "delimiter=%2F&encoding-type=url&key-marker=%EF%BD%9E&prefix=&uploads="
    text = raw.send("GET", f"/{BUCKET}", query).body.decode()
    assert "<EncodingType>url</EncodingType>" in text and "<KeyMarker>%EF%BD%9E</KeyMarker>" in text
    assert "<Key>%F0%9F%98%80</Key>" in text and "<Prefix>%F0%9F%98%80/</Prefix>" in text
    answer = raw.send("GET", f"/{BUCKET}", "encoding-type=x&uploads=")
    assert answer.status == 400 and b"Invalid Encoding Method specified in Request" in answer.body  # B045


def test_list_multipart_uploads_returns_algorithm_and_type(s3: Any, bucket: str) -> None:
    begin(s3, bucket, "k", ChecksumAlgorithm="SHA256")
    (upload,) = s3.list_multipart_uploads(Bucket=bucket)["Uploads"]
    assert (upload["ChecksumAlgorithm"], upload["ChecksumType"]) == ("SHA256", "COMPOSITE")


def test_list_multipart_uploads_in_missing_bucket(s3: Any) -> None:
    assert refused(404, "NoSuchBucket", s3.list_multipart_uploads, Bucket="missing-bucket")["BucketName"] == "missing-bucket"


def test_list_multipart_uploads_after_a_marker_that_names_no_upload_is_refused(s3: Any, bucket: str, uploads: Uploads) -> None:
    upload_id = begin(s3, bucket, "k")
    other = begin(s3, bucket, "other")
    s3.abort_multipart_upload(Bucket=bucket, Key="other", UploadId=other)
    altered = upload_id[:-1] + ("0" if upload_id[-1] != "0" else "1")
    for marker in (
        "nonsense",
        "0",
        "ü",
        "0" * 64,
        "f" * 64,
        altered,
        upload_id[:-1],
        upload_id.upper(),
        uploads[0][1],
        other,
        "a" * 5000,
    ):
        error = refused(400, "InvalidArgument", s3.list_multipart_uploads, Bucket=bucket, KeyMarker="k", UploadIdMarker=marker)
        assert (error["Message"], error["ArgumentName"]) == ("Invalid uploadId marker", "upload-id-marker")  # B091, B144
        assert error["ArgumentValue"] == marker


def test_list_multipart_uploads_continues_after_an_aborted_or_completed_upload(s3: Any, bucket: str) -> None:
    """This is needed to abort all uploads page by page."""
    begun = [begin(s3, bucket, "k") for _ in range(5)]
    s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=begun[1])
    assert (
        shown(s3.list_multipart_uploads(Bucket=bucket, KeyMarker="k", UploadIdMarker=begun[1]))
        == [  # B144
            ("k", upload_id) for upload_id in begun[2:]
        ]
    )
    complete(s3, bucket, "k", begun[2], send(s3, bucket, "k", begun[2], {1: b"x"}))
    assert shown(s3.list_multipart_uploads(Bucket=bucket, KeyMarker="k", UploadIdMarker=begun[2])) == [
        ("k", upload_id) for upload_id in begun[3:]
    ]
    for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, PaginationConfig={"PageSize": 1}):
        for upload in page.get("Uploads", []):
            s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=upload["UploadId"])
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


@pytest.mark.parametrize(("query", "shown"), [("", None), ("&prefix=", None), ("&prefix=a", b"<Prefix>a</Prefix>")])
def test_list_multipart_uploads_returns_only_a_requested_prefix(
    raw: RawClient, bucket: str, query: str, shown: bytes | None
) -> None:
    body = raw.send("GET", f"/{bucket}", f"uploads={query}").body
    assert shown in body if shown else b"Prefix" not in body  # B149
