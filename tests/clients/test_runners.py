"""The same clients against every server. Differences between the servers must not be visible."""

import hashlib
import http.client
import random
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError

from tests.raw import RawClient, read_response
from tests.servers import RUNNERS, Server

MIB = 1 << 20
BUCKET = "clients"
#: All servers with the default configuration, and the fastest one with PostgreSQL, too.
SERVED = [
    *((runner, "sqlite-files") for runner in RUNNERS),
    ("gunicorn-asgi", "postgresql-blocks"),
    ("gunicorn-wsgi", "postgresql-blocks"),
]


@pytest.fixture(scope="module", params=SERVED, ids="-".join)
def served(request: pytest.FixtureRequest, make_server: Callable[..., Server]) -> Any:
    runner, kind = request.param
    server = make_server(kind, runner=runner)
    server.client().create_bucket(Bucket=BUCKET)
    yield server
    server.stop()


@pytest.fixture
def client(served: Server) -> Any:
    return served.client()


@pytest.fixture
def wire(served: Server) -> RawClient:
    return RawClient(served.host, served.port, served.access_key, served.secret_key)


def body_of(size: int) -> bytes:
    return random.Random(size).randbytes(size)


@pytest.mark.parametrize("size", [0, 1, 4096, 256 * 1024 + 1, 3 * MIB])
def test_put_get_range_copy_and_delete(client: Any, size: int) -> None:
    data, metadata = body_of(size), {"with_underscore": "1", "with-hyphen": "2", "empty": ""}
    put = client.put_object(Bucket=BUCKET, Key="a b/ü+%2F//c", Body=data, Metadata=metadata, ContentType="text/x")
    assert put["ETag"] == f'"{hashlib.md5(data).hexdigest()}"'
    got = client.get_object(Bucket=BUCKET, Key="a b/ü+%2F//c")
    assert got["Body"].read() == data
    assert (got["Metadata"], got["ContentType"], got["ContentLength"]) == (metadata, "text/x", size)
    if size > 1:
        part = client.get_object(Bucket=BUCKET, Key="a b/ü+%2F//c", Range=f"bytes={size // 2}-{size - 1}")
        assert part["ResponseMetadata"]["HTTPStatusCode"] == 206 and part["Body"].read() == data[size // 2 :]
    client.copy_object(Bucket=BUCKET, Key="copy", CopySource={"Bucket": BUCKET, "Key": "a b/ü+%2F//c"})
    client.delete_object(Bucket=BUCKET, Key="a b/ü+%2F//c")
    with pytest.raises(ClientError) as caught:
        client.head_object(Bucket=BUCKET, Key="a b/ü+%2F//c")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 404
    head = client.head_object(Bucket=BUCKET, Key="copy")
    assert (head["ContentLength"], head["Metadata"]) == (size, metadata)
    client.delete_object(Bucket=BUCKET, Key="copy")


def test_transfer_of_twenty_mebibytes_in_parts(client: Any, tmp_path: Any) -> None:
    data = body_of(20 * MIB + 7)
    (tmp_path / "up").write_bytes(data)
    config = TransferConfig(multipart_threshold=8 * MIB, multipart_chunksize=5 * MIB, max_concurrency=4)
    client.upload_file(str(tmp_path / "up"), BUCKET, "large", Config=config, ExtraArgs={"Metadata": {"my_key": "x"}})
    head = client.head_object(Bucket=BUCKET, Key="large")
    assert head["ETag"].endswith('-5"') and head["Metadata"] == {"my_key": "x"} and head["ContentLength"] == len(data)
    client.download_file(BUCKET, "large", str(tmp_path / "down"), Config=config)
    assert (tmp_path / "down").read_bytes() == data
    assert client.get_object(Bucket=BUCKET, Key="large")["Body"].read() == data


def test_listing_in_pages(client: Any) -> None:
    keys = sorted(f"list/{folder}/{number}" for folder in "äz😀" for number in range(5))
    for key in keys:
        client.put_object(Bucket=BUCKET, Key=key, Body=b"x")
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="list/", PaginationConfig={"PageSize": 4})
    assert [entry["Key"] for page in pages for entry in page["Contents"]] == keys
    rolled_up = client.list_objects_v2(Bucket=BUCKET, Prefix="list/", Delimiter="/")
    assert [entry["Prefix"] for entry in rolled_up["CommonPrefixes"]] == ["list/z/", "list/ä/", "list/😀/"]
    deleted = client.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in keys]})
    assert sorted(entry["Key"] for entry in deleted["Deleted"]) == keys


@pytest.mark.parametrize("size", [3, 70_000, 2 * MIB])
@pytest.mark.parametrize("chunked_transfer", [False, True])
def test_aws_chunked_upload(client: Any, wire: RawClient, size: int, chunked_transfer: bool) -> None:
    """Framing is not part of the object, with either Content-Length or Transfer-Encoding: chunked."""
    data = body_of(size)
    chunks = [data[start : start + 65536] for start in range(0, size, 65536)]
    headers = [("x-amz-decoded-content-length", str(size)), ("Content-Encoding", "aws-chunked")]
    request = wire.sign("PUT", f"/{BUCKET}/framed", "", headers, payload_hash="STREAMING-AWS4-HMAC-SHA256-PAYLOAD")
    body = request.chunked_body(chunks)
    if chunked_transfer:
        pieces = [body[start : start + 50_000] for start in range(0, len(body), 50_000)]
        body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
        request.headers.append(("Transfer-Encoding", "chunked"))
    else:
        request.headers.append(("Content-Length", str(len(body))))
    answer = wire.send_bytes(request.head() + body, "PUT")
    assert answer.status == 200, answer.body
    got = client.get_object(Bucket=BUCKET, Key="framed")
    assert got["Body"].read() == data and "ContentEncoding" not in got


@pytest.mark.parametrize("size", [1000, 3 * MIB])
def test_interrupted_upload_leaves_the_old_object(client: Any, wire: RawClient, size: int) -> None:
    client.put_object(Bucket=BUCKET, Key="cut", Body=b"old")
    for payload_hash in (None, "UNSIGNED-PAYLOAD"):
        for cut_at in (0, size // 2, size - 1):
            wire.send("PUT", f"/{BUCKET}/cut", body=body_of(size), payload_hash=payload_hash, cut_at=cut_at)
    wire.send("PUT", f"/{BUCKET}/never", body=body_of(size), payload_hash="UNSIGNED-PAYLOAD", cut_at=size - 1)
    assert client.get_object(Bucket=BUCKET, Key="cut")["Body"].read() == b"old"
    assert "Contents" not in client.list_objects_v2(Bucket=BUCKET, Prefix="never")


def test_connection_is_reused_after_every_kind_of_response(client: Any, wire: RawClient) -> None:
    client.put_object(Bucket=BUCKET, Key="alive", Body=b"body")
    requests = [("GET", "alive", 200), ("HEAD", "alive", 200), ("GET", "missing", 404), ("DELETE", "missing", 204)]
    requests += [("PUT", "alive", 200), ("HEAD", "missing", 404), ("GET", "alive", 200)]
    with socket.create_connection((wire.host, wire.port), timeout=30) as connection:
        for method, key, status in requests * 3:
            body = b"body" if method == "PUT" else b""
            request = wire.sign(method, f"/{BUCKET}/{key}", "", body=body, unsigned_headers=[("Content-Length", str(len(body)))])
            connection.sendall(request.head() + body)
            answer = read_response(connection, method)
            assert answer.status == status, (method, key, answer)
            if (method, status) == ("GET", 200):
                assert answer.body == b"body"


def test_expect_continue_is_answered_before_the_body(wire: RawClient) -> None:
    headers = [("Content-Length", str(MIB)), ("Expect", "100-continue")]
    request = wire.sign("PUT", f"/{BUCKET}/expected", payload_hash="UNSIGNED-PAYLOAD", unsigned_headers=headers)
    with socket.create_connection((wire.host, wire.port), timeout=30) as connection:
        connection.sendall(request.head())
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body_of(MIB))
        assert read_response(connection, "PUT").status == 200


def test_presigned_url_by_another_client(served: Server) -> None:
    client = served.client(signature_version="s3v4")  # boto3's default for URLs is still version 2
    url = client.generate_presigned_url("put_object", Params={"Bucket": BUCKET, "Key": "a/../ü b"}, ExpiresIn=60)
    connection = http.client.HTTPConnection(served.host, served.port, timeout=30)
    connection.request("PUT", url.removeprefix(served.url), body=b"by url")
    assert connection.getresponse().read() == b""
    url = client.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "a/../ü b"}, ExpiresIn=60)
    connection.request("GET", url.removeprefix(served.url))
    response = connection.getresponse()
    assert (response.status, response.read()) == (200, b"by url")
    connection.close()


def test_sixteen_clients_at_once(client: Any) -> None:
    """Each client runs 20 rounds of mixed requests on its own keys. Every response is correct."""

    def work(number: int) -> int:
        chance = random.Random(number)
        kept: dict[str, bytes] = {}
        for _ in range(20):
            key = f"parallel/{number}/{chance.randrange(4)}"
            action = chance.choice(["put", "put", "get", "head", "delete", "list", "copy"])
            if action == "put":
                kept[key] = chance.randbytes(chance.choice([0, 10, 5000, 300_000, 1_200_000]))
                client.put_object(Bucket=BUCKET, Key=key, Body=kept[key])
            elif action == "delete":
                client.delete_object(Bucket=BUCKET, Key=key)
                kept.pop(key, None)
            elif action == "list":
                page = client.list_objects_v2(Bucket=BUCKET, Prefix=f"parallel/{number}/")
                found = {entry["Key"]: entry["Size"] for entry in page.get("Contents", [])}
                assert found == {name: len(data) for name, data in kept.items()}
            elif key in kept and action == "get":
                assert client.get_object(Bucket=BUCKET, Key=key)["Body"].read() == kept[key]
            elif key in kept and action == "head":
                assert client.head_object(Bucket=BUCKET, Key=key)["ContentLength"] == len(kept[key])
            elif key in kept:
                client.copy_object(Bucket=BUCKET, Key=f"parallel/{number}/copy", CopySource=f"{BUCKET}/{key}")
                kept[f"parallel/{number}/copy"] = kept[key]
        for key, data in kept.items():
            assert client.get_object(Bucket=BUCKET, Key=key)["Body"].read() == data
        return len(kept)

    with ThreadPoolExecutor(16) as threads:
        assert sum(threads.map(work, range(16))) > 16
