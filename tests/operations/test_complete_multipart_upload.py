"""CompleteMultipartUpload."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.raw import RawClient
from tests.servers import Server

from ..helpers import refusal_of
from .listed import refused
from .multipart import FIRST, LEAST, NAMESPACE, SECOND, begin, complete, document, etag_of, made_bytes, md5_of, read, send, upload

HEADERS = {
    "ContentType": "text/plain; charset=utf-8",
    "ContentEncoding": "gzip",
    "ContentDisposition": 'attachment; filename="a b"',
    "ContentLanguage": "de, en",
    "CacheControl": "no-cache",
}


def test_complete_multipart_upload_creates_one_object(s3: Any, server: Server, bucket: str) -> None:
    answer = upload(s3, bucket, "a/ü+b", {1: FIRST, 2: SECOND, 3: b"end"})
    whole, etag = FIRST + SECOND + b"end", etag_of(FIRST, SECOND, b"end")
    assert (answer["ETag"], answer["Bucket"], answer["Key"]) == (etag, bucket, "a/ü+b")  # B083
    assert answer["Location"] == f"{server.url}/{bucket}/a%2F%C3%BC%2Bb"
    got = s3.get_object(Bucket=bucket, Key="a/ü+b")
    assert (got["Body"].read() == whole, got["ETag"], got["ContentLength"]) == (True, etag, len(whole))
    assert got["ContentType"] == "binary/octet-stream" and got["Metadata"] == {}  # B026
    (entry,) = s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert (entry["ETag"], entry["Size"]) == (etag, len(whole))
    assert "Uploads" not in s3.list_multipart_uploads(Bucket=bucket)


def test_complete_multipart_upload_supports_ranges_and_part_numbers(s3: Any, bucket: str) -> None:
    upload(s3, bucket, "k", {2: FIRST, 5: b"", 7: SECOND[:LEAST], 10000: b"end"} | {5: SECOND})
    whole = FIRST + SECOND + SECOND[:LEAST] + b"end"
    edge = len(FIRST)
    for first, last in (
        (0, 0),
        (edge - 1, edge),
        (edge - 2, edge + len(SECOND) + 1),
        (10, len(whole) - 1),
        (len(whole) - 4, 10**9),
    ):
        got = s3.get_object(Bucket=bucket, Key="k", Range=f"bytes={first}-{last}")
        last = min(last, len(whole) - 1)
        assert got["ContentRange"] == f"bytes {first}-{last}/{len(whole)}"
        assert got["Body"].read() == whole[first : last + 1]
    for number, data in enumerate((FIRST, SECOND, SECOND[:LEAST], b"end"), 1):
        got = s3.get_object(Bucket=bucket, Key="k", PartNumber=number)
        assert (got["PartsCount"], got["ContentLength"]) == (4, len(data)) and got["Body"].read() == data  # B052
    error = refused(416, "InvalidPartNumber", s3.get_object, Bucket=bucket, Key="k", PartNumber=5)
    assert (error["PartNumberRequested"], error["ActualPartCount"]) == ("5", "4")


def test_complete_multipart_upload_keeps_headers_and_metadata_of_create(s3: Any, bucket: str) -> None:
    upload(
        s3,
        bucket,
        "k",
        {1: b"x"},
        **HEADERS,
        Expires="Wed, 21 Oct 2026 07:28:00 GMT",
        Metadata={"my_key": "1", "my-key": ""},
    )
    head = s3.head_object(Bucket=bucket, Key="k")
    assert {name: head[name] for name in HEADERS} == HEADERS
    assert head["ExpiresString"] == "Wed, 21 Oct 2026 07:28:00 GMT"
    assert head["Metadata"] == {"my_key": "1", "my-key": ""}  # B028


def test_complete_multipart_upload_replaces_all_of_the_old_object(s3: Any, bucket: str) -> None:
    upload(s3, bucket, "k", {1: FIRST, 2: b"x"}, Metadata={"old": "1", "both": "1"}, ContentLanguage="de")
    upload(s3, bucket, "k", {1: b"new"}, Metadata={"both": "2"})
    got = s3.get_object(Bucket=bucket, Key="k")
    assert (got["Body"].read(), got["ETag"], got["Metadata"]) == (b"new", etag_of(b"new"), {"both": "2"})
    assert "ContentLanguage" not in got
    assert s3.head_object(Bucket=bucket, Key="k", PartNumber=1)["PartsCount"] == 1
    s3.put_object(Bucket=bucket, Key="k", Body=b"put")
    assert "PartsCount" not in s3.head_object(Bucket=bucket, Key="k", PartNumber=1)


def test_complete_multipart_upload_drops_parts_not_listed(s3: Any, bucket: str) -> None:
    upload_id = begin(s3, bucket, "k")
    parts = send(s3, bucket, "k", upload_id, {1: FIRST, 2: SECOND, 3: b"end", 4: b"beyond"})
    answer = complete(s3, bucket, "k", upload_id, [parts[0], parts[2]])
    assert answer["ETag"] == etag_of(FIRST, b"end") and read(s3, bucket, "k") == FIRST + b"end"
    refused(404, "NoSuchUpload", s3.list_parts, Bucket=bucket, Key="k", UploadId=upload_id)


@pytest.mark.parametrize("quoted", [True, False])
def test_complete_multipart_upload_with_and_without_quotes(s3: Any, bucket: str, raw: RawClient, quoted: bool) -> None:
    upload_id = begin(s3, bucket, "k")
    (part,) = send(s3, bucket, "k", upload_id, {3: b"x"})
    etag = part["ETag"].replace('"', "&quot;") if quoted else part["ETag"].strip('"')
    answer = raw.send("POST", f"/{bucket}/k", f"uploadId={upload_id}", body=document((3, etag)))
    assert (answer.status, answer.headers["content-type"]) == (200, "application/xml")
    root = ElementTree.fromstring(answer.body)
    assert root.tag == f"{NAMESPACE}CompleteMultipartUploadResult"
    assert root.findtext(f"{NAMESPACE}ETag") == etag_of(b"x")
    assert [child.tag.removeprefix(NAMESPACE) for child in root][:4] == ["Location", "Bucket", "Key", "ETag"]


def test_complete_multipart_upload_without_namespace(s3: Any, bucket: str, raw: RawClient) -> None:
    upload_id = begin(s3, bucket, "k")
    (part,) = send(s3, bucket, "k", upload_id, {1: b"x"})
    body = document((1, part["ETag"].strip('"'))).replace(b' xmlns="http://s3.amazonaws.com/doc/2006-03-01/"', b"")
    assert raw.send("POST", f"/{bucket}/k", f"uploadId={upload_id}", body=body).status == 200


@pytest.mark.parametrize(
    "body",
    [
        b"<CompleteMultipartUpload/>",
        b"<CompleteMultipartUpload><Part></CompleteMultipartUpload>",
        b"<CompleteMultipartUpload><Part><ETag>a</ETag></Part></CompleteMultipartUpload>",
        b"<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>",
        b"<CompleteMultipartUpload><Part><PartNumber>x</PartNumber><ETag>a</ETag></Part></CompleteMultipartUpload>",
        b"<Other><Part><PartNumber>1</PartNumber><ETag>a</ETag></Part></Other>",
        b'<!DOCTYPE a [<!ENTITY e "1">]><CompleteMultipartUpload>&e;</CompleteMultipartUpload>',
        b"not XML",
        b"",
    ],
)
def test_complete_multipart_upload_with_malformed_document_is_refused(s3: Any, bucket: str, raw: RawClient, body: bytes) -> None:
    upload_id = begin(s3, bucket, "k")
    send(s3, bucket, "k", upload_id, {1: b"x"})
    answer = raw.send("POST", f"/{bucket}/k", f"uploadId={upload_id}", body=body)
    assert answer.status == 400 and b"<Code>MalformedXML</Code>" in answer.body  # B087
    assert len(s3.list_parts(Bucket=bucket, Key="k", UploadId=upload_id)["Parts"]) == 1


@pytest.mark.parametrize(
    ("number", "etag"), [(2, md5_of(b"x")), (1, md5_of(b"y")), (1, '"nonsense"'), (10001, md5_of(b"x")), (0, md5_of(b"x"))]
)
def test_complete_multipart_upload_with_wrong_part_is_refused(s3: Any, bucket: str, number: int, etag: str) -> None:
    upload_id = begin(s3, bucket, "k")
    parts = send(s3, bucket, "k", upload_id, {1: b"x"})
    wrong = {"Parts": [{"PartNumber": number, "ETag": etag}]}
    arguments = {"Bucket": bucket, "Key": "k", "UploadId": upload_id}
    error = refused(400, "InvalidPart", s3.complete_multipart_upload, **arguments, MultipartUpload=wrong)
    assert (error["UploadId"], error["PartNumber"], error["ETag"]) == (upload_id, str(number), etag.strip('"'))  # B084
    assert error["Message"] == (
        "One or more of the specified parts could not be found.  The part may not have been uploaded, or the specified "
        "entity tag may not match the part's entity tag."
    )
    complete(s3, bucket, "k", upload_id, parts)


@pytest.mark.parametrize("order", [(1, 0), (0, 0), (0, 2, 1)])
def test_complete_multipart_upload_out_of_order_is_refused(s3: Any, bucket: str, order: tuple[int, ...]) -> None:
    upload_id = begin(s3, bucket, "k")
    parts = send(s3, bucket, "k", upload_id, {1: FIRST, 2: SECOND, 3: b"x"})
    listed = {"Parts": [parts[index] for index in order]}
    arguments = {"Bucket": bucket, "Key": "k", "UploadId": upload_id, "MultipartUpload": listed}
    error = refused(400, "InvalidPartOrder", s3.complete_multipart_upload, **arguments)
    assert error["UploadId"] == upload_id  # B085
    assert error["Message"] == "The list of parts was not in ascending order. Parts must be ordered by part number."


def test_complete_multipart_upload_with_too_small_part_is_refused(s3: Any, bucket: str) -> None:
    upload_id = begin(s3, bucket, "k")
    parts = send(s3, bucket, "k", upload_id, {1: FIRST, 2: SECOND[: LEAST - 1], 3: SECOND})
    arguments = {"Bucket": bucket, "Key": "k", "UploadId": upload_id, "MultipartUpload": {"Parts": parts}}
    error = refused(400, "EntityTooSmall", s3.complete_multipart_upload, **arguments)
    assert (error["ProposedSize"], error["MinSizeAllowed"]) == (str(LEAST - 1), str(LEAST))  # B086
    assert (error["PartNumber"], error["ETag"]) == ("2", parts[1]["ETag"].strip('"'))
    complete(s3, bucket, "k", upload_id, [parts[0], parts[2]])
    assert read(s3, bucket, "k") == FIRST + SECOND


@pytest.mark.parametrize("upload_id", ["nonsense", "0" * 64])
def test_complete_multipart_upload_that_is_unknown(s3: Any, bucket: str, upload_id: str) -> None:
    arguments = {"Key": "k", "UploadId": upload_id, "MultipartUpload": {"Parts": [{"PartNumber": 1, "ETag": "x"}]}}
    assert refused(404, "NoSuchUpload", s3.complete_multipart_upload, Bucket=bucket, **arguments)["UploadId"] == upload_id
    refused(404, "NoSuchBucket", s3.complete_multipart_upload, Bucket="missing-bucket", **arguments)


def test_complete_multipart_upload_again_returns_the_same(s3: Any, bucket: str) -> None:
    upload_id = begin(s3, bucket, "k")
    parts = send(s3, bucket, "k", upload_id, {1: FIRST, 2: b"x"})
    first, second = (complete(s3, bucket, "k", upload_id, parts) for _ in range(2))
    for answer in (first, second):
        del answer["ResponseMetadata"]
    assert first == second and first["ETag"] == etag_of(FIRST, b"x")  # B088
    s3.put_object(Bucket=bucket, Key="k", Body=b"other")
    arguments = {"Bucket": bucket, "Key": "k", "UploadId": upload_id, "MultipartUpload": {"Parts": parts}}
    refused(404, "NoSuchUpload", s3.complete_multipart_upload, **arguments)
    assert read(s3, bucket, "k") == b"other"


def test_complete_multipart_upload_by_several_clients_at_once_creates_one_object(s3: Any, bucket: str) -> None:
    upload_id = begin(s3, bucket, "k")
    parts = send(s3, bucket, "k", upload_id, {1: FIRST, 2: b"x"})
    with ThreadPoolExecutor(6) as threads:
        answers = [answer["ETag"] for answer in threads.map(lambda _: complete(s3, bucket, "k", upload_id, parts), range(6))]
    assert answers == [etag_of(FIRST, b"x")] * 6
    assert read(s3, bucket, "k") == FIRST + b"x"


def test_complete_multipart_upload_with_object_size(s3: Any, bucket: str) -> None:
    upload_id = begin(s3, bucket, "k")
    parts = send(s3, bucket, "k", upload_id, {1: b"1234"})
    arguments = {"Bucket": bucket, "Key": "k", "UploadId": upload_id, "MultipartUpload": {"Parts": parts}}
    error = refused(400, "InvalidRequest", s3.complete_multipart_upload, **arguments, MpuObjectSize=5)
    assert error["Message"] == "The provided 'x-amz-mp-object-size' header value 5 does not match what was computed: 4"  # B064
    complete(s3, bucket, "k", upload_id, parts, MpuObjectSize=4)
    assert read(s3, bucket, "k") == b"1234"


def test_complete_multipart_upload_if_none_match(s3: Any, bucket: str) -> None:
    upload_id = begin(s3, bucket, "k")
    parts = send(s3, bucket, "k", upload_id, {1: b"parts"})
    s3.put_object(Bucket=bucket, Key="k", Body=b"there")
    arguments = {"Bucket": bucket, "Key": "k", "UploadId": upload_id, "MultipartUpload": {"Parts": parts}}
    error = refused(412, "PreconditionFailed", s3.complete_multipart_upload, **arguments, IfNoneMatch="*")
    assert error["Condition"] == "If-None-Match"  # B071
    assert read(s3, bucket, "k") == b"there"
    assert len(s3.list_parts(Bucket=bucket, Key="k", UploadId=upload_id)["Parts"]) == 1
    complete(s3, bucket, "k", upload_id, parts)
    fresh = begin(s3, bucket, "fresh")
    complete(s3, bucket, "fresh", fresh, send(s3, bucket, "fresh", fresh, {1: b"x"}), IfNoneMatch="*")
    assert read(s3, bucket, "fresh") == b"x"


def test_complete_multipart_upload_if_match(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"there")
    upload_id = begin(s3, bucket, "k")
    parts = send(s3, bucket, "k", upload_id, {1: b"parts"})
    arguments = {"Bucket": bucket, "Key": "k", "UploadId": upload_id, "MultipartUpload": {"Parts": parts}}
    error = refused(412, "PreconditionFailed", s3.complete_multipart_upload, **arguments, IfMatch=md5_of(b"other"))
    assert error["Condition"] == "If-Match"  # B072
    complete(s3, bucket, "k", upload_id, parts, IfMatch=md5_of(b"there"))
    assert read(s3, bucket, "k") == b"parts"
    missing = begin(s3, bucket, "missing")
    parts = {"Parts": send(s3, bucket, "missing", missing, {1: b"x"})}
    arguments = {"Bucket": bucket, "Key": "missing", "UploadId": missing, "MultipartUpload": parts}
    assert refused(404, "NoSuchKey", s3.complete_multipart_upload, **arguments, IfMatch=md5_of(b"x"))["Key"] == "missing"


def test_complete_multipart_upload_of_an_empty_part(s3: Any, bucket: str) -> None:
    answer = upload(s3, bucket, "k", {1: b""})
    assert answer["ETag"] == etag_of(b"")
    got = s3.get_object(Bucket=bucket, Key="k")
    assert (got["Body"].read(), got["ContentLength"], got["ETag"]) == (b"", 0, etag_of(b""))


def test_complete_multipart_upload_with_empty_last_part(s3: Any, bucket: str) -> None:
    upload(s3, bucket, "k", {1: FIRST, 2: b""})
    got = s3.get_object(Bucket=bucket, Key="k")
    assert (got["Body"].read() == FIRST, got["ETag"]) == (True, etag_of(FIRST, b""))
    assert s3.get_object(Bucket=bucket, Key="k", Range="bytes=-3")["Body"].read() == FIRST[-3:]
    for call in (s3.get_object, s3.head_object):
        empty = call(Bucket=bucket, Key="k", PartNumber=2)
        assert (empty["ContentLength"], empty["PartsCount"]) == (0, 2) and "ContentRange" not in empty


def test_complete_multipart_upload_while_a_reader_reads_the_old_object(s3: Any, bucket: str) -> None:
    old = made_bytes(2 * LEAST, 9)
    upload(s3, bucket, "k", {1: old[:LEAST], 2: old[LEAST:]})
    body = s3.get_object(Bucket=bucket, Key="k")["Body"]
    beginning = body.read(1000)
    upload(s3, bucket, "k", {1: b"new"})
    assert beginning + body.read() == old
    assert read(s3, bucket, "k") == b"new"


@pytest.mark.parametrize("body", [b"", b"nonsense", b"<CompleteMultipartUpload/>", b"<Other/>"])
def test_complete_multipart_upload_of_no_upload_with_a_malformed_document(
    raw: RawClient, s3: Any, bucket: str, body: bytes
) -> None:
    ended = begin(s3, bucket, "k")
    s3.abort_multipart_upload(Bucket=bucket, Key="k", UploadId=ended)
    for upload_id in ("nonsense", ended):
        answer = raw.send("POST", f"/{bucket}/k", f"uploadId={upload_id}", body=body)
        assert answer.status == 404 and b"<Code>NoSuchUpload</Code>" in answer.body  # B140
        answer = raw.send("POST", "/missing-bucket/k", f"uploadId={upload_id}", body=body)
        assert answer.status == 404 and b"<Code>NoSuchBucket</Code>" in answer.body


@pytest.mark.parametrize(
    ("size", "message"),
    [
        *((text, f"Value for x-amz-mp-object-size header is less than zero: '{text}'") for text in ("-1", "-0", "-99999999999")),
        *(
            (text, f"Value for x-amz-mp-object-size header is invalid: '{text}'")
            for text in ("size", "4.0", "0x4", "4 4", "+4", "")
        ),
        *((text, f"Value for x-amz-mp-object-size header is invalid: '{text}'") for text in ("\u0664", "-", "--1", "1_000")),
        *(
            (text, f"The provided 'x-amz-mp-object-size' header value {text} does not match what was computed: 4")
            for text in ("5", "0", "3", "4000000000000")
        ),
    ],
)
def test_complete_multipart_upload_with_impossible_object_size_is_refused(
    s3: Any, bucket: str, raw: RawClient, size: str, message: str
) -> None:
    upload_id = begin(s3, bucket, "k")
    (part,) = send(s3, bucket, "k", upload_id, {1: b"1234"})
    body = document((1, part["ETag"].strip('"')))
    answer = raw.send("POST", f"/{bucket}/k", f"uploadId={upload_id}", [("x-amz-mp-object-size", size)], body)
    refusal = refusal_of(answer)
    assert (refusal.status, refusal.code, refusal.message) == (400, "InvalidRequest", message)  # B064, B141
    assert len(s3.list_parts(Bucket=bucket, Key="k", UploadId=upload_id)["Parts"]) == 1
