"""Many clients on one key: every read is whole, one of N contenders wins, a slow download keeps its bytes."""

import os
import random
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ..helpers import etag_of, keys_of, query, read, status_of
from ..raw import RawClient
from ..servers import Server

MIB = 1 << 20
SECONDS = 3


def status_of_call(call: Callable[..., Any], **arguments: Any) -> tuple[int, str]:
    """Call boto3. Return the status and the error code, "" for success."""
    try:
        return status_of(call(**arguments)), ""
    except ClientError as error:
        return error.response["ResponseMetadata"]["HTTPStatusCode"], error.response["Error"]["Code"]


@pytest.mark.parametrize("whole", [True, False], ids=["put", "multipart and copy"])
def test_overwriting_one_key_gives_each_reader_one_complete_body(s3: Any, bucket: str, whole: bool) -> None:
    bodies = [os.urandom(size) for size in (4096, 2 * MIB) for _ in range(5)]
    by_etag = {etag_of(body): body for body in bodies}
    s3.put_object(Bucket=bucket, Key="a", Body=bodies[0])
    end, written, seen, ranged = time.monotonic() + SECONDS, [0], [], [0]

    def write(seed: int) -> None:
        chosen = random.Random(seed)
        while time.monotonic() < end:
            body = chosen.choice(bodies)
            if whole:
                s3.put_object(Bucket=bucket, Key="a", Body=body)
            else:
                s3.put_object(Bucket=bucket, Key=f"b{seed}", Body=body)
                s3.copy_object(Bucket=bucket, Key="a", CopySource={"Bucket": bucket, "Key": f"b{seed}"})
            written[0] += 1

    def check() -> None:
        while time.monotonic() < end:
            answer = s3.get_object(Bucket=bucket, Key="a")
            body = by_etag[answer["ETag"]]
            assert answer["ContentLength"] == len(body)
            assert answer["Body"].read() == body
            seen.append(answer["ETag"])

    def check_ranges() -> None:
        while time.monotonic() < end:
            answer = s3.get_object(Bucket=bucket, Key="a", Range="bytes=1000-4095")
            body = by_etag[answer["ETag"]]
            assert answer["ContentRange"] == f"bytes 1000-4095/{len(body)}"
            assert answer["Body"].read() == body[1000:4096]
            [entry] = s3.list_objects_v2(Bucket=bucket, Prefix="a")["Contents"]
            assert entry["Size"] == len(by_etag[entry["ETag"]])
            ranged[0] += 1

    with ThreadPoolExecutor(5) as threads:
        running = [
            threads.submit(write, 1),
            threads.submit(write, 2),
            *(threads.submit(work) for work in (check, check, check_ranges)),
        ]
        for work in running:
            work.result()
    assert written[0] > 10 and ranged[0] > 10
    assert len(set(seen)) > 3, "the readers saw too few different bodies"
    assert read(s3, bucket, "a") in bodies


@pytest.mark.parametrize("size", [1024, 2 * MIB], ids=["1 KiB", "2 MiB"])
def test_put_object_if_none_match_of_many_contenders_lets_one_win(s3: Any, bucket: str, size: int) -> None:
    contenders = 8
    with ThreadPoolExecutor(contenders) as threads:
        for number in range(4):
            barrier, bodies = threading.Barrier(contenders), [os.urandom(size) for _ in range(contenders)]

            def contend(body: bytes, barrier: threading.Barrier = barrier, key: str = f"k{number}") -> tuple[int, str]:
                barrier.wait(30)
                return status_of_call(s3.put_object, Bucket=bucket, Key=key, Body=body, IfNoneMatch="*")

            answers = list(threads.map(contend, bodies))
            assert sorted(answers) == [(200, "")] + [(412, "PreconditionFailed")] * (contenders - 1)
            assert read(s3, bucket, f"k{number}") == bodies[answers.index((200, ""))]


@pytest.mark.parametrize("size", [1024, 2 * MIB], ids=["1 KiB", "2 MiB"])
def test_put_object_if_match_of_many_contenders_lets_one_win(s3: Any, bucket: str, size: int) -> None:
    contenders, old = 8, b"old"
    s3.put_object(Bucket=bucket, Key="a", Body=old)
    with ThreadPoolExecutor(contenders) as threads:
        for _ in range(4):
            barrier, bodies = threading.Barrier(contenders), [os.urandom(size) for _ in range(contenders)]

            def contend(body: bytes, barrier: threading.Barrier = barrier, etag: str = etag_of(old)) -> tuple[int, str]:
                barrier.wait(30)
                return status_of_call(s3.put_object, Bucket=bucket, Key="a", Body=body, IfMatch=etag)

            answers = list(threads.map(contend, bodies))
            assert sorted(answers) == [(200, "")] + [(412, "PreconditionFailed")] * (contenders - 1)
            old = read(s3, bucket, "a")
            assert old == bodies[answers.index((200, ""))]


def test_simultaneous_put_and_delete_of_one_key_have_one_winner(s3: Any, bucket: str) -> None:
    bodies = [os.urandom(size) for size in (1024, 2 * MIB)]
    with ThreadPoolExecutor(4) as threads:
        for _ in range(10):
            calls = [threads.submit(s3.put_object, Bucket=bucket, Key="a", Body=body) for body in bodies]
            calls += [threads.submit(s3.delete_object, Bucket=bucket, Key="a") for _ in range(2)]
            for call in calls:
                call.result()
            if keys_of(s3, bucket):
                assert read(s3, bucket, "a") in bodies
            else:
                assert status_of_call(s3.get_object, Bucket=bucket, Key="a") == (404, "NoSuchKey")


@pytest.mark.parametrize("parts", [1, 2])
def test_copies_of_one_object_to_a_key_that_is_overwritten_do_not_deadlock(
    server: Server, s3: Any, bucket: str, parts: int
) -> None:
    """The key refers to the bytes that are being copied, so each overwrite releases them."""
    if "DATABASE_URL" not in server.environment:
        pytest.skip("PostgreSQL only: SQLite has one writer at a time")
    uploaded(s3, bucket, "source", [os.urandom(5 * MIB) for _ in range(parts - 1)] + [b"end"])
    s3.put_object(Bucket=bucket, Key="a", Body=b"other")
    before, end = deadlocks(server), time.monotonic() + SECONDS

    def copy() -> None:
        while time.monotonic() < end:
            s3.copy_object(Bucket=bucket, Key="a", CopySource={"Bucket": bucket, "Key": "source"})

    def overwrite() -> None:
        while time.monotonic() < end:
            s3.put_object(Bucket=bucket, Key="a", Body=b"other")

    with ThreadPoolExecutor(6) as threads:
        for running in [threads.submit(work) for work in (copy, copy, copy, overwrite, overwrite, overwrite)]:
            running.result()
    # A backend reports its statistics at most once a second, and when it ends.
    time.sleep(1.1)
    s3.head_bucket(Bucket=bucket)
    assert deadlocks(server) == before


def deadlocks(server: Server) -> int:
    return query(server, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")[0][0]


def uploaded(s3: Any, bucket: str, key: str, pieces: list[bytes]) -> None:
    """Upload an object in one request, or as parts."""
    if len(pieces) == 1:
        s3.put_object(Bucket=bucket, Key=key, Body=pieces[0])
        return
    upload = s3.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    done = []
    for number, piece in enumerate(pieces, 1):
        etag = s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=piece)["ETag"]
        done.append({"PartNumber": number, "ETag": etag})
    s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": done})


def test_create_bucket_and_delete_bucket_while_objects_are_put(s3: Any) -> None:
    """A bucket is deleted only if it is empty: no acknowledged object is lost."""
    name = f"contended-{os.urandom(8).hex()}"
    with ThreadPoolExecutor(2) as threads:
        for _ in range(10):
            s3.create_bucket(Bucket=name)
            put = threads.submit(status_of_call, s3.put_object, Bucket=name, Key="a", Body=b"a")
            delete = threads.submit(status_of_call, s3.delete_bucket, Bucket=name)
            answers = (put.result(), delete.result())
            assert answers in (((200, ""), (409, "BucketNotEmpty")), ((404, "NoSuchBucket"), (204, "")))
            if answers[0][0] == 200:
                assert read(s3, name, "a") == b"a"
                s3.delete_object(Bucket=name, Key="a")
                s3.delete_bucket(Bucket=name)


@pytest.mark.parametrize("parts", [1, 4])
@pytest.mark.parametrize("then", ["overwrite", "delete"])
def test_get_object_that_is_slow_finishes_with_the_old_bytes(s3: Any, raw: RawClient, bucket: str, then: str, parts: int) -> None:
    pieces = [os.urandom(20 * MIB // parts) for _ in range(parts)]
    uploaded(s3, bucket, "a", pieces)
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
        connection.settimeout(60)
        connection.connect((raw.host, raw.port))
        connection.sendall(raw.sign("GET", f"/{bucket}/a").head())
        with connection.makefile("rb") as file:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += file.readline()
            assert head.startswith(b"HTTP/1.1 200")
            assert b"content-length: 20971520" in head.lower()
            half = file.read(10 * MIB)
            if then == "overwrite":
                s3.put_object(Bucket=bucket, Key="a", Body=b"new")
                assert read(s3, bucket, "a") == b"new"
            else:
                s3.delete_object(Bucket=bucket, Key="a")
                assert keys_of(s3, bucket) == []
            time.sleep(0.3)
            assert half + file.read(10 * MIB) == b"".join(pieces)
