"""A full disk: clear errors, nothing half-written, reads continue, and writes work again once there is space."""

import contextlib
import json
import os
import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from botocore.exceptions import ClientError

from tests.cluster import create_database, drop_database, own_cluster
from tests.helpers import read, refusal, status_of
from tests.servers import Server

from .disks import reserve, small_disk

MIB = 1 << 20
BUCKET = "full"


@pytest.fixture(params=["sqlite-files", "postgresql-blocks"])
def cramped(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Server, Path]]:
    """Yield a server with about 20 MiB of space for its bytes, and a file there that takes eight of them."""
    disk = tmp_path / "disk"
    if request.param == "sqlite-files":
        with small_disk(disk, 24):
            yield from serve(Server(tmp_path, {"POST3_DATA_DIR": str(disk / "var")}), disk)
        return
    with own_cluster() as cluster:
        disk = cluster.directory / "disk"
        with small_disk(disk, 36, cluster.owner):
            with psycopg.connect(cluster.url, autocommit=True) as connection:
                space = disk / "space"
                space.mkdir(mode=0o700)
                shutil.chown(space, cluster.owner)
                # Tables go there, the write-ahead log elsewhere. Without space for the log, PostgreSQL stops
                # altogether.
                connection.execute(f"CREATE TABLESPACE small LOCATION '{space}'")
                connection.execute("ALTER SYSTEM SET default_tablespace = small")
                connection.execute("SELECT pg_reload_conf()")
            url = create_database(cluster.url)
            yield from serve(Server(tmp_path, {"DATABASE_URL": url}), disk)
            drop_database(cluster.url, url)


def serve(server: Server, disk: Path) -> Iterator[tuple[Server, Path]]:
    server.start()
    try:
        reserve(disk, 8)
        server.client().create_bucket(Bucket=BUCKET)
        yield server, disk
    finally:
        server.stop()


def test_full_disk_refuses_writes_serves_reads_and_recovers(cramped: tuple[Server, Path]) -> None:
    server, disk = cramped
    s3 = server.client()
    kept = os.urandom(MIB)
    s3.put_object(Bucket=BUCKET, Key="kept", Body=kept)
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="parts")["UploadId"]
    part = {"Bucket": BUCKET, "Key": "parts", "UploadId": upload}
    etag = s3.upload_part(**part, PartNumber=1, Body=kept)["ETag"]

    vacuum(server)  # the first vacuum creates files, for which a full disk has no space
    written = fill(s3)
    assert written, "the disk was full before anything was written"
    refuse_too_much(s3, part)
    # Reads of all kinds work without free space.
    assert read(s3, BUCKET, "kept") == kept
    for key, body in written.items():
        assert read(s3, BUCKET, key) == body
    assert {entry["Key"] for entry in s3.list_objects_v2(Bucket=BUCKET)["Contents"]} == {"kept", *written}
    assert [entry["PartNumber"] for entry in s3.list_parts(**part)["Parts"]] == [1]
    assert left_over(server, disk, len(written) + 2) == []

    (disk / "ballast").unlink()
    refuse_too_much(s3, part)  # the disk becomes full in the middle of a part
    assert left_over(server, disk, len(written) + 2) == []
    vacuum(server)
    s3.put_object(Bucket=BUCKET, Key="after", Body=kept * 2)
    assert read(s3, BUCKET, "after") == kept * 2
    parts = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
    s3.complete_multipart_upload(**part, MultipartUpload=parts)
    assert read(s3, BUCKET, "parts") == kept
    assert status_of(s3.delete_object(Bucket=BUCKET, Key="kept")) == 204
    assert "Traceback" not in server.log()


def vacuum(server: Server) -> None:
    """Do what autovacuum does within a minute: make the space of deleted blocks reusable."""
    if url := server.environment.get("DATABASE_URL"):
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("VACUUM post3_block, post3_object")


def refuse_too_much(s3: Any, part: dict[str, str]) -> None:
    too_much = b"x" * (40 * MIB)
    for call, arguments in (
        (s3.put_object, {"Bucket": BUCKET, "Key": "large", "Body": too_much}),
        (s3.upload_part, {**part, "PartNumber": 2, "Body": too_much}),
    ):
        refused = refusal(call, **arguments)
        assert (refused.status, refused.code) == (507, "XMinioStorageFull")  # B120


def fill(s3: Any) -> dict[str, bytes]:
    """Write objects of several sizes until there is no space for any of them. Return the acknowledged ones."""
    written: dict[str, bytes] = {}
    for size in (MIB + 1, 300_000, 3000):
        for number in range(2000):
            key, body = f"{size}/{number}", os.urandom(size)
            try:
                s3.put_object(Bucket=BUCKET, Key=key, Body=body)
            except ClientError as error:
                assert error.response["Error"]["Code"] == "XMinioStorageFull", error
                break
            written[key] = body
        else:
            pytest.fail("the disk never became full")
    return written


def left_over(server: Server, disk: Path, blobs: int) -> list[str]:
    """Return the remains of refused writes: files without a blob or description, rows and blocks without a blob."""
    url = server.environment.get("DATABASE_URL")
    if url:
        with psycopg.connect(url) as connection:
            rows = connection.execute("SELECT id, state FROM post3_blob").fetchall()
            strays = connection.execute(
                "SELECT DISTINCT blob_id FROM post3_block b JOIN post3_blob p ON p.id = b.blob_id WHERE p.state = 0"
            ).fetchall()
            (in_rows,) = connection.execute("SELECT count(data) FROM post3_object").fetchall()[0]
        assert sum(state == 1 for _, state in rows) + in_rows == blobs
        return [str(stray) for stray in strays]
    everything = (path for path in (disk / "var" / "objects").rglob("*") if path.is_file())
    files = [path for path in everything if path.name != "bucket.json"]
    bytes_of = [path for path in files if path.suffix != ".json" and ".tmp" not in path.parts]
    assert len(bytes_of) == blobs, sorted(map(str, bytes_of))
    described = {str(path) + ".json" for path in bytes_of}
    return [str(path) for path in files if ".tmp" in path.parts or (path.suffix == ".json" and str(path) not in described)]


# PostgreSQL manages its own space (docs/operations.md).
@pytest.mark.parametrize("cramped", ["sqlite-files"], indirect=True)
def test_full_disk_allows_all_deletions(cramped: tuple[Server, Path]) -> None:
    server, _ = cramped
    s3 = server.client()
    s3.create_bucket(Bucket="empty")
    uploads = [s3.create_multipart_upload(Bucket=BUCKET, Key="parts")["UploadId"] for _ in range(2)]
    s3.upload_part(Bucket=BUCKET, Key="parts", UploadId=uploads[0], PartNumber=1, Body=b"x" * 1000)
    assert readiness(server) == (200, "ok")
    keys = list(fill_to_the_brim(s3, server))
    assert readiness(server) == (200, "degraded")
    # Each of these writes to the catalogue before it frees anything.
    assert status_of(s3.delete_object(Bucket=BUCKET, Key=keys[0])) == 204
    assert status_of(s3.delete_bucket(Bucket="empty")) == 204
    for upload in uploads:
        assert status_of(s3.abort_multipart_upload(Bucket=BUCKET, Key="parts", UploadId=upload)) == 204
    # The space set aside for them is not available to other operations.
    for call, arguments in (
        (s3.put_object, {"Bucket": BUCKET, "Key": "new", "Body": b"x"}),
        (s3.put_object, {"Bucket": BUCKET, "Key": "new", "Body": b""}),
        (s3.copy_object, {"Bucket": BUCKET, "Key": "new", "CopySource": f"{BUCKET}/{keys[1]}"}),
        (s3.create_multipart_upload, {"Bucket": BUCKET, "Key": "new"}),
        (s3.create_bucket, {"Bucket": "another"}),
    ):
        assert refusal(call, **arguments).code == "XMinioStorageFull"
    for start in range(1, len(keys), 1000):
        wanted = [{"Key": key} for key in keys[start : start + 1000]]
        answer = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": wanted, "Quiet": True})
        assert "Errors" not in answer
    assert "Contents" not in s3.list_objects_v2(Bucket=BUCKET)
    server.environment["POST3_GARBAGE_GRACE_SECONDS"] = "0"
    server.manage("collect_garbage")
    assert readiness(server) == (200, "ok")
    s3.put_object(Bucket=BUCKET, Key="new", Body=b"x" * MIB)
    assert read(s3, BUCKET, "new") == b"x" * MIB
    assert "Traceback" not in server.log()


def fill_to_the_brim(s3: Any, server: Server) -> dict[str, bytes]:
    """Fill the disk, and fill the space that is too small for small objects with a file."""
    written = fill(s3)
    with contextlib.suppress(OSError), open(Path(server.environment["POST3_DATA_DIR"]) / "brim", "wb", buffering=0) as brim:
        while True:
            brim.write(bytes(4096))
    return written


def readiness(server: Server) -> tuple[int, str]:
    with urllib.request.urlopen(f"{server.url}/_/health/ready", timeout=10) as response:
        return response.status, json.load(response)["status"]
