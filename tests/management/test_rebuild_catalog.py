"""`manage.py rebuild_catalog`: the catalogue is thrown away, and what clients see afterwards is what they saw before."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ..cluster import create_database, drop_database
from ..conftest import POSTGRESQL_URL
from ..helpers import query
from ..servers import ROOT, Server

MIB = 1 << 20


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, make_server: Callable[..., Server]) -> Server:
    """A server of files, with all kinds of objects in it."""
    if request.param == "sqlite":
        server = make_server("sqlite-files")
    else:
        server = make_server("postgresql-files", environment={"POST3_STORAGE": "filesystem"})
    fill(server)
    return server


@pytest.fixture
def lost(server: Server) -> Iterator[Server]:
    """The server, stopped, on an empty catalogue; started again by the test with `start`."""
    server.stop()
    old = server.environment.get("DATABASE_URL")
    if old:
        server.environment["DATABASE_URL"] = create_database(POSTGRESQL_URL)
    else:
        for path in (server.data_dir / "var").glob("catalogue.sqlite3*"):
            path.unlink()
    server.manage("migrate", "--no-input", "-v", "0")
    yield server
    server.stop()
    if old:
        drop_database(POSTGRESQL_URL, old)


def fill(server: Server) -> None:
    s3 = server.client()
    for name in ("empty-bucket", "first-bucket", "second-bucket", "gone-bucket"):
        s3.create_bucket(Bucket=name)
    s3.put_object(
        Bucket="first-bucket",
        Key="a/../ü ?#%/" + "long" * 200,
        Body=b"described",
        ContentType="text/x-odd",
        CacheControl="no-cache",
        ContentLanguage="de",
        Metadata={"one": "1", "two_2": "zwei"},
    )
    s3.put_object(Bucket="first-bucket", Key="empty", Body=b"")
    for algorithm in ("CRC64NVME", "SHA256"):
        s3.put_object(Bucket="first-bucket", Key=algorithm, Body=os.urandom(2 * MIB), ChecksumAlgorithm=algorithm)
    s3.put_object(Bucket="first-bucket", Key="twice", Body=b"older")
    s3.put_object(Bucket="first-bucket", Key="twice", Body=b"newer, and longer")
    s3.put_object(Bucket="gone-bucket", Key="source", Body=b"shared" * 1000)
    s3.put_object(Bucket="first-bucket", Key="deleted", Body=b"deleted")
    s3.delete_object(Bucket="first-bucket", Key="deleted")
    upload = s3.create_multipart_upload(Bucket="second-bucket", Key="parts", ChecksumAlgorithm="CRC32C", Metadata={"m": "p"})
    place = {"Bucket": "second-bucket", "Key": "parts", "UploadId": upload["UploadId"]}
    parts = []
    for number, size in ((2, 5 * MIB), (7, 1000)):
        done = s3.upload_part(**place, PartNumber=number, Body=os.urandom(size), ChecksumAlgorithm="CRC32C")
        parts.append({"PartNumber": number, "ETag": done["ETag"], "ChecksumCRC32C": done["ChecksumCRC32C"]})
    s3.complete_multipart_upload(**place, MultipartUpload={"Parts": parts})
    s3.copy_object(Bucket="second-bucket", Key="copy", CopySource="gone-bucket/source")
    s3.copy_object(Bucket="second-bucket", Key="copy of parts", CopySource="second-bucket/parts")
    # The copies' bytes stay where they were saved: in the directory of a bucket that is no more.
    s3.delete_object(Bucket="gone-bucket", Key="source")
    s3.delete_bucket(Bucket="gone-bucket")


def seen(server: Server) -> dict[str, Any]:
    """All that a client can learn: buckets, listings, every object's head and bytes."""
    s3, found = server.client(), {}
    for bucket in s3.list_buckets()["Buckets"]:
        name = bucket["Name"]
        listing = s3.list_objects_v2(Bucket=name, FetchOwner=True).get("Contents", [])
        found[name] = bucket, s3.get_bucket_location(Bucket=name)["LocationConstraint"], listing
        for key in [entry["Key"] for entry in listing]:
            head = s3.head_object(Bucket=name, Key=key, ChecksumMode="ENABLED")
            number = {"PartNumber": 2} if "parts" in key else {}
            part = s3.head_object(Bucket=name, Key=key, ChecksumMode="ENABLED", **number)
            for answer in (head, part):
                del answer["ResponseMetadata"]
            found[f"{name}/{key}"] = head, part, s3.get_object(Bucket=name, Key=key)["Body"].read()
    return found


def start(server: Server) -> None:
    server.access_key, server.secret_key = server.create_api_key("tester")
    server.run()


def rebuild(server: Server, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "manage.py", "rebuild_catalog", *arguments]
    return subprocess.run(command, cwd=ROOT, env=server.environment, capture_output=True, text=True, timeout=60)


def files(server: Server) -> Path:
    return server.data_dir / "var" / "objects"


@pytest.fixture(scope="module")
def before(server: Server) -> dict[str, Any]:
    return seen(server)


def test_rebuilt_catalogue_shows_clients_what_they_saw(before: dict[str, Any], lost: Server) -> None:
    done = rebuild(lost, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["buckets"] == 3 and told["objects"] == 8 and told["users"] == ["tester"] and told["damaged"] == 0
    # One blob for each, none for the empty object, two for the parts, however many objects share them.
    assert told["blobs"] == 7 and not told["guessed_buckets"]
    start(lost)
    assert seen(lost) == before
    again = rebuild(lost)
    assert again.returncode == 1 and "already" in again.stderr and "Traceback" not in again.stderr
    # It is a catalogue to work with, too: its ids go on, its descriptions are replaced.
    s3 = lost.client()
    s3.put_object(Bucket="empty-bucket", Key="new", Body=b"new")
    s3.delete_object(Bucket="empty-bucket", Key="new")
    lost.create_api_key("another")


def test_rebuild_with_verify_leaves_out_what_is_torn_missing_or_changed(before: dict[str, Any], lost: Server) -> None:
    def described(key: str) -> tuple[Path, dict[str, Any]]:
        for path in files(lost).rglob("*.json"):
            document = json.loads(path.read_text())
            if document.get("key") == key:
                return path, document
        raise AssertionError(key)

    kept = {}
    path, document = described("twice")
    changed = files(lost) / described("SHA256")[1]["blob"]
    short = files(lost) / described("CRC64NVME")[1]["blob"]
    # A description that a crash left, older than the one in force.
    leftover = path.with_name("twice." + "0" * 32 + ".json")
    leftover.write_text(json.dumps({**document, "last_modified": "2001-01-01T00:00:00+00:00", "etag": "0" * 32}))
    torn = path.with_name("twice." + "1" * 32 + ".json")
    torn.write_text(path.read_text()[:50])
    kept[changed] = changed.read_bytes()
    changed.write_bytes(kept[changed][:-1] + bytes([kept[changed][-1] ^ 1]))
    kept[short] = short.read_bytes()
    short.write_bytes(kept[short][:-1])
    (files(lost) / "first-bucket" / "foreign.txt").write_text("foreign")
    (files(lost) / "first-bucket" / "zz").symlink_to("/")
    try:
        done = rebuild(lost, "--verify", "--json")
        assert done.returncode == 2, done.stderr
        told = json.loads(done.stdout)
        # The leftover has no MD5 of these bytes, so that `verify` refuses it before its age is asked.
        assert (told["objects"], told["damaged"]) == (6, 4), done.stderr
        for name in (str(torn.name)[:-5], str(short.name), str(changed.name), "not those that were stored"):
            assert name in done.stderr
        assert query(lost, "SELECT count(*) FROM post3_blob WHERE crc64nvme IS NULL OR md5 = ''") == [(0,)]
        start(lost)
        gone = {"first-bucket", "first-bucket/SHA256", "first-bucket/CRC64NVME"}
        after = seen(lost)
        assert {name: after[name] for name in after if name not in gone} == {
            name: before[name] for name in before if name not in gone
        }
    finally:
        for path, data in kept.items():
            path.write_bytes(data)
        for path in (leftover, torn, files(lost) / "first-bucket" / "foreign.txt", files(lost) / "first-bucket" / "zz"):
            path.unlink()


def test_rebuild_takes_the_newest_description_and_guesses_a_bucket_without_one(lost: Server) -> None:
    for path in list((files(lost) / "second-bucket").rglob(".*.json")):
        path.unlink()
    path = next(path for path in files(lost).rglob("twice.*.json"))
    document = json.loads(path.read_text())
    leftover = path.with_name("twice." + "0" * 32 + ".json")
    leftover.write_text(json.dumps({**document, "last_modified": "2001-01-01T00:00:00+00:00", "etag": "0" * 32}))
    try:
        done = rebuild(lost, "--json")
    finally:
        leftover.unlink()
    told = json.loads(done.stdout)
    assert done.returncode == 0 and told["older"] == 1 and told["guessed_buckets"] == ["second-bucket"], done.stderr
    ((year,),) = query(lost, "SELECT last_modified FROM post3_object WHERE key = 'twice'")
    assert not str(year).startswith("2001")
    assert lost.manage("rebuild_catalog", "--describe").strip() == "3 buckets described"
    assert list((files(lost) / "second-bucket").rglob(".*.json"))
