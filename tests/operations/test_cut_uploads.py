"""Uploads interrupted by the client: no object, no visible part, the old object unchanged, nothing left behind."""

import os
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from ..helpers import files_of, keys_of, query, read
from ..raw import RawClient, SignedRequest
from ..servers import Server

SIZES = pytest.mark.parametrize("size", [1024, 3 << 20], ids=["1 KiB", "3 MiB"])
FRAMINGS = (
    "content-length",
    "content-length unsigned",
    "http-chunks",
    "aws-chunked signed",
    "aws-chunked trailer",
    "aws-chunked over http-chunks",
)
#: The time in seconds a server may take to notice that a client is gone, and to clean up.
PATIENCE = 10


def http_chunks(data: bytes) -> bytes:
    return (
        b"".join(
            f"{len(data[start : start + 65536]):x}\r\n".encode() + data[start : start + 65536] + b"\r\n"
            for start in range(0, len(data), 65536)
        )
        + b"0\r\n\r\n"
    )


def upload(raw: RawClient, path: str, query: str, body: bytes, framing: str) -> tuple[SignedRequest, bytes]:
    """Return an upload as it goes over the wire: the request with all its headers, and the framed body."""
    if framing == "content-length":
        return raw.sign("PUT", path, query, body=body, unsigned_headers=[("Content-Length", str(len(body)))]), body
    if framing == "content-length unsigned":
        length = [("Content-Length", str(len(body)))]
        return raw.sign("PUT", path, query, payload_hash="UNSIGNED-PAYLOAD", unsigned_headers=length), body
    if framing == "http-chunks":
        coding = [("Transfer-Encoding", "chunked")]
        return raw.sign("PUT", path, query, payload_hash="UNSIGNED-PAYLOAD", unsigned_headers=coding), http_chunks(body)
    headers = [("Content-Encoding", "aws-chunked"), ("x-amz-decoded-content-length", str(len(body)))]
    pieces = [body[start : start + 65536] for start in range(0, len(body), 65536)]
    if framing == "aws-chunked signed":
        request = raw.sign("PUT", path, query, headers, payload_hash="STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
        framed = request.chunked_body(pieces)
    else:
        request = raw.sign("PUT", path, query, headers, payload_hash="STREAMING-UNSIGNED-PAYLOAD-TRAILER")
        framed = b"".join(f"{len(piece):x}\r\n".encode() + piece + b"\r\n" for piece in pieces) + b"0\r\n\r\n"
    if framing == "aws-chunked over http-chunks":
        framed = http_chunks(framed)
        request.headers.append(("Transfer-Encoding", "chunked"))
    else:
        request.headers.append(("Content-Length", str(len(framed))))
    return request, framed


def cut(raw: RawClient, request: SignedRequest, body: bytes, at: float, *, half_open: bool = False) -> bytes:
    """Send a part of the body, wait until the server has it, then disconnect. Return the response, if any."""
    with socket.create_connection((raw.host, raw.port), timeout=PATIENCE) as connection:
        try:
            connection.sendall(request.head() + body[: int(len(body) * at)])
            time.sleep(0.1)
            if not half_open:
                return b""
            connection.shutdown(socket.SHUT_WR)
            return connection.recv(4096)
        except (BrokenPipeError, ConnectionResetError):  # refused because of its headers
            return b""


def unreferenced(server: Server) -> set[tuple[int, str]]:
    """Return the blobs that nothing refers to and the worker will never find: neither pending nor released."""
    found = query(
        server,
        "SELECT b.id, b.name FROM post3_blob b WHERE b.state = 1 AND b.released_at IS NULL "
        "AND NOT EXISTS (SELECT 1 FROM post3_object o WHERE o.blob_id = b.id) "
        "AND NOT EXISTS (SELECT 1 FROM post3_objectpart p WHERE p.blob_id = b.id) "
        "AND NOT EXISTS (SELECT 1 FROM post3_uploadpart p WHERE p.blob_id = b.id)",
    )
    return {(number, name) for number, name in found}


def orphans(server: Server) -> set[str]:
    """Return files unknown to the catalogue, including those being written, and blocks without their blob."""
    known = {name for (name,) in query(server, "SELECT name FROM post3_blob")}
    known |= {f"{name}.json" for (name,) in query(server, "SELECT sidecar FROM post3_object")}
    blocks = query(server, "SELECT k.blob_id FROM post3_block k LEFT JOIN post3_blob b ON b.id = k.blob_id WHERE b.id IS NULL")
    return (files_of(server) - known) | {f"block of {number}" for (number,) in blocks}


def pending(server: Server) -> int:
    return query(server, "SELECT count(*) FROM post3_blob WHERE state = 0")[0][0]


@pytest.fixture
def clean(server: Server) -> Iterator[None]:
    """Check that the test left nothing in the storage, even though the worker would find pending uploads."""
    before = (unreferenced(server), orphans(server), pending(server))
    yield
    deadline = time.monotonic() + PATIENCE
    while (after := (unreferenced(server), orphans(server), pending(server))) != before and time.monotonic() < deadline:
        time.sleep(0.1)
    assert after[0] <= before[0]
    assert after[1] <= before[1]
    assert after[2] <= before[2]


@SIZES
@pytest.mark.parametrize("framing", FRAMINGS)
def test_interrupted_put_object_creates_no_object(
    s3: Any, raw: RawClient, bucket: str, clean: None, size: int, framing: str
) -> None:
    s3.put_object(Bucket=bucket, Key="old", Body=b"old")
    body = os.urandom(size)
    with ThreadPoolExecutor(6) as threads:
        places = [(key, at) for key in ("old", "new") for at in (0, 0.5, 0.999)]
        for done in [threads.submit(cut, raw, *upload(raw, f"/{bucket}/{key}", "", body, framing), at) for key, at in places]:
            done.result()
    time.sleep(0.2)
    assert keys_of(s3, bucket) == ["old"]
    assert read(s3, bucket, "old") == b"old"


@SIZES
@pytest.mark.parametrize("framing", FRAMINGS)
def test_interrupted_upload_part_creates_no_part(
    s3: Any, raw: RawClient, bucket: str, clean: None, size: int, framing: str
) -> None:
    upload_id = s3.create_multipart_upload(Bucket=bucket, Key="a")["UploadId"]
    s3.upload_part(Bucket=bucket, Key="a", UploadId=upload_id, PartNumber=1, Body=b"old")
    before = s3.list_parts(Bucket=bucket, Key="a", UploadId=upload_id)["Parts"]
    body = os.urandom(size)
    with ThreadPoolExecutor(4) as threads:
        places = [(number, at) for number in (1, 2) for at in (0.5, 0.999)]
        targets = [(f"partNumber={number}&uploadId={upload_id}", at) for number, at in places]
        for done in [threads.submit(cut, raw, *upload(raw, f"/{bucket}/a", to, body, framing), at) for to, at in targets]:
            done.result()
    time.sleep(0.2)
    assert s3.list_parts(Bucket=bucket, Key="a", UploadId=upload_id)["Parts"] == before
    parts = [{"PartNumber": 1, "ETag": before[0]["ETag"]}]
    s3.complete_multipart_upload(Bucket=bucket, Key="a", UploadId=upload_id, MultipartUpload={"Parts": parts})
    assert read(s3, bucket, "a") == b"old"


@SIZES
@pytest.mark.parametrize("framing", FRAMINGS)
def test_put_object_whose_sender_stops_but_listens_creates_no_object(
    s3: Any, raw: RawClient, bucket: str, clean: None, size: int, framing: str
) -> None:
    answer = cut(raw, *upload(raw, f"/{bucket}/a", "", os.urandom(size), framing), 0.5, half_open=True)
    assert not answer or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5"))
    time.sleep(0.2)
    assert keys_of(s3, bucket) == []


@pytest.mark.parametrize("framing", [framing for framing in FRAMINGS if framing != "http-chunks"])
@SIZES
def test_complete_put_object_creates_an_object(
    s3: Any, raw: RawClient, bucket: str, clean: None, size: int, framing: str
) -> None:
    """Prove that the tests above interrupt uploads that would otherwise have been stored."""
    body = os.urandom(size)
    request, framed = upload(raw, f"/{bucket}/a", "", body, framing)
    if "trailer" in framing or "over" in framing:
        assert "x-amz-trailer" not in dict(request.headers)
    assert raw.send_bytes(request.head() + framed, "PUT").status == 200
    assert read(s3, bucket, "a") == body


def test_many_interrupted_uploads_do_not_block_the_server(s3: Any, raw: RawClient, bucket: str, clean: None) -> None:
    body = os.urandom(3 << 20)
    for _ in range(24):  # more than there are threads for uploads
        cut(raw, *upload(raw, f"/{bucket}/a", "", body, "content-length"), 0.4)
    s3.put_object(Bucket=bucket, Key="b", Body=body)
    assert keys_of(s3, bucket) == ["b"]
    assert read(s3, bucket, "b") == body
