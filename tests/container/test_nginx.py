"""docker/nginx.conf in front of a running server: signed requests arrive unchanged, and bodies are streamed."""

import contextlib
import random
import shutil
import socket
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ..helpers import etag_of, keys_of, path_of, read
from ..raw import RawClient, read_response
from ..servers import Server
from .nginx import nginx_before

MIB = 1 << 20
BUCKET = "proxied"
SIGNED_CHUNKS = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"


@pytest.fixture(scope="module")
def behind(make_server: Callable[..., Server]) -> Server:
    """Start the server itself."""
    server = make_server("sqlite-files", runner="gunicorn-asgi")
    server.client().create_bucket(Bucket=BUCKET)
    return server


@pytest.fixture(scope="module")
def front(behind: Server) -> Iterator[Server]:
    """Yield the server as seen through nginx."""
    # pytest's own directory is not accessible to nginx's processes, which run as `nobody` if root starts nginx.
    directory = Path(tempfile.mkdtemp(prefix="post3-nginx-"))
    directory.chmod(0o755)
    with nginx_before(behind, directory) as server:
        yield server
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def client(front: Server) -> Any:
    return front.client(signature_version="s3v4")


@pytest.fixture
def wire(front: Server) -> RawClient:
    return RawClient(front.host, front.port, front.access_key, front.secret_key)


ODD_KEYS = [
    "a//b",
    "//",
    "/leading",
    "trailing/",
    "a/../b",
    "a/./b",
    ".",
    "..",
    "a%2Fb",
    "a%2e%2e/b",
    "with space + & = ? # ; : @",
    "ü/日本/😀",
    "~tilde*'()!$,",
    'back\\slash"quote<>|^`{}',
]


@pytest.mark.parametrize("key", ODD_KEYS)
def test_a_key_arrives_as_it_was_signed(behind: Server, wire: RawClient, key: str) -> None:
    body = key.encode()
    assert wire.send("PUT", path_of(BUCKET, key), body=body).status == 200
    assert read(behind.client(), BUCKET, key) == body, "the server stored it under another key"
    got = wire.send("GET", path_of(BUCKET, key))
    assert (got.status, got.body) == (200, body)
    assert wire.send("HEAD", path_of(BUCKET, key)).headers["content-length"] == str(len(body))
    assert wire.send("DELETE", path_of(BUCKET, key)).status == 204
    assert key not in keys_of(behind.client(), BUCKET)


@pytest.mark.parametrize("segments", ["../../x", "%2E%2E/%2E%2E/x"])
def test_a_path_above_the_root_is_refused_by_nginx_itself(wire: RawClient, segments: str) -> None:
    """nginx cannot be configured to pass on this kind of key (docs/operations.md)."""
    answer = wire.send("GET", f"/{BUCKET}/{segments}")
    assert (answer.status, answer.headers["server"]) == (400, "nginx")


def test_metadata_with_names_that_nginx_considers_invalid(client: Any) -> None:
    metadata = {"with_underscore": "1", "with.dot": "2", "with-hyphen": "3", "long": "x" * 1900}
    client.put_object(Bucket=BUCKET, Key="metadata", Body=b"abc", Metadata=metadata)
    assert client.head_object(Bucket=BUCKET, Key="metadata")["Metadata"] == metadata
    part = client.get_object(Bucket=BUCKET, Key="metadata", Range="bytes=1-")
    assert (part["Body"].read(), part["ContentRange"], part["Metadata"]) == (b"bc", "bytes 1-2/3", metadata)


@pytest.mark.parametrize("over_http_chunks", [False, True], ids=["length", "http-chunks"])
def test_twenty_mebibytes_as_aws_chunked(client: Any, wire: RawClient, over_http_chunks: bool) -> None:
    data = random.Random(20).randbytes(20 * MIB)
    answer = wire.send_bytes(aws_chunked(wire, "large", data, over_http_chunks), "PUT")
    assert (answer.status, answer.headers["etag"]) == (200, etag_of(data))
    got = client.get_object(Bucket=BUCKET, Key="large")
    assert got["ContentLength"] == len(data) and got["Body"].read() == data


def aws_chunked(wire: RawClient, key: str, data: bytes, over_http_chunks: bool) -> bytes:
    """Return the whole request of an upload in signed chunks."""
    headers = [("Content-Encoding", "aws-chunked"), ("x-amz-decoded-content-length", str(len(data)))]
    request = wire.sign("PUT", path_of(BUCKET, key), headers=headers, payload_hash=SIGNED_CHUNKS)
    body = request.chunked_body(data[start : start + MIB] for start in range(0, len(data), MIB))
    if over_http_chunks:
        pieces = (body[start : start + 100_000] for start in range(0, len(body), 100_000))
        body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
        request.headers.append(("Transfer-Encoding", "chunked"))
    else:
        request.headers.append(("Content-Length", str(len(body))))
    return request.head() + body


def test_an_upload_is_streamed_to_the_server_before_it_is_complete(behind: Server, wire: RawClient) -> None:
    data = random.Random(1).randbytes(16 * MIB)
    request = wire.sign("PUT", path_of(BUCKET, "streamed"), body=data, payload_hash="UNSIGNED-PAYLOAD")
    request.headers.append(("Content-Length", str(len(data))))
    written = behind.data_dir / "var" / "objects" / ".tmp"
    with socket.create_connection((wire.host, wire.port), timeout=60) as connection:
        connection.sendall(request.head() + data[: 12 * MIB])
        deadline = time.monotonic() + 60
        while sum_of(written) < 4 * MIB:
            assert time.monotonic() < deadline, "three quarters were sent, but none of it reached the server"
            time.sleep(0.05)
        connection.sendall(data[12 * MIB :])
        answer = read_response(connection, "PUT")
    assert (answer.status, answer.headers["etag"]) == (200, etag_of(data))


def sum_of(directory: Path) -> int:
    """Return the total size of the files in a directory. Some of them may vanish meanwhile."""
    total = 0
    for path in directory.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def test_expect_100_continue(client: Any, wire: RawClient) -> None:
    data = random.Random(2).randbytes(3 * MIB)
    request = wire.sign("PUT", path_of(BUCKET, "expected"), body=data)
    request.headers += [("Content-Length", str(len(data))), ("Expect", "100-continue")]
    with socket.create_connection((wire.host, wire.port), timeout=60) as connection:
        connection.sendall(request.head())
        assert connection.recv(4096).startswith(b"HTTP/1.1 100 Continue\r\n")
        connection.sendall(data)
        assert read_response(connection, "PUT").status == 200
    assert read(client, BUCKET, "expected") == data


@pytest.mark.parametrize("key", ["report 2026.pdf", "a//b/ü"])
def test_presigned_get(client: Any, key: str) -> None:
    client.put_object(Bucket=BUCKET, Key=key, Body=b"presigned")
    # A long URL: queries of several KiB are common with a file name and a token in them.
    disposition = f'attachment; filename="{"n" * 6000}.pdf"'
    parameters = {"Bucket": BUCKET, "Key": key, "ResponseContentDisposition": disposition}
    url = client.generate_presigned_url("get_object", Params=parameters, ExpiresIn=300)
    with urllib.request.urlopen(url, timeout=60) as answer:
        assert (answer.read(), answer.headers["Content-Disposition"]) == (b"presigned", disposition)


def test_a_large_upload_with_a_wrong_signature_gets_the_error(front: Server) -> None:
    """The server responds before the body has ended. nginx must pass this response on instead of a 502."""
    stranger = RawClient(front.host, front.port, front.access_key, "another secret")
    answer = stranger.send("PUT", path_of(BUCKET, "forged"), body=bytes(20 * MIB), payload_hash="UNSIGNED-PAYLOAD")
    assert answer.status == 403 and b"SignatureDoesNotMatch" in answer.body


def test_an_interrupted_upload_creates_no_object(behind: Server, wire: RawClient) -> None:
    wire.send("PUT", path_of(BUCKET, "cut"), body=bytes(3 * MIB), payload_hash="UNSIGNED-PAYLOAD", cut_at=2 * MIB)
    client = behind.client()
    assert client.list_objects_v2(Bucket=BUCKET, Prefix="cut")["KeyCount"] == 0


def test_multipart_upload_and_a_listing(client: Any) -> None:
    parts = [random.Random(number).randbytes(5 * MIB) for number in (1, 2)]
    upload = client.create_multipart_upload(Bucket=BUCKET, Key="parts")["UploadId"]
    done = [
        {
            "PartNumber": number,
            "ETag": client.upload_part(Bucket=BUCKET, Key="parts", UploadId=upload, PartNumber=number, Body=part)["ETag"],
        }
        for number, part in enumerate(parts, 1)
    ]
    client.complete_multipart_upload(Bucket=BUCKET, Key="parts", UploadId=upload, MultipartUpload={"Parts": done})
    assert read(client, BUCKET, "parts") == b"".join(parts)
    assert "parts" in keys_of(client, BUCKET)


def test_the_console_has_its_own_origin_behind_nginx_too(front: Server, client: Any) -> None:
    with urllib.request.urlopen(f"{front.console_url}/_/admin/login/", timeout=60) as answer:
        assert answer.status == 200 and b"csrfmiddlewaretoken" in answer.read()
    client.put_object(Bucket=BUCKET, Key="page", Body=b"<script>", ContentType="text/html")
    url = client.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "page"})
    for wrong in (url.replace(front.url, front.console_url), f"{front.url}/_/admin/login/"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(wrong, timeout=60)
        assert refused.value.code == 404
