"""Servers whose storages implement only the five verbs: operations, the worker, the check, and a crash."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import HTTPClientError

from post3.storage.base import MIB

from ..helpers import query, read
from ..servers import Server
from ..storage.plain import DEADLY

SMALL, LARGE = 1000, 3 * MIB + 5

Make = Callable[..., Server]


def storages_of(directory: Path, backend: str, **options: Any) -> dict[str, str]:
    """Return the environment of a server whose objects are in a storage of `plain.py`."""
    storage = {"BACKEND": f"tests.storage.plain.{backend}", "OPTIONS": {"location": str(directory), **options}}
    return {"DJANGO_SETTINGS_MODULE": "tests.storage.settings", "TEST_STORAGES": json.dumps({"STANDARD": storage})}


#: Settings with which the worker collects garbage immediately.
AT_ONCE = {"POST3_GARBAGE_GRACE_SECONDS": "0", "POST3_PENDING_UPLOAD_SECONDS": "0"}


@pytest.fixture(params=["sqlite-files", "postgresql-blocks"])
def kind(request: pytest.FixtureRequest) -> str:
    """The kind of server, which determines the catalogue's database."""
    return request.param


@pytest.mark.parametrize("backend", ["PlainStorage", "CarefulStorage"])
def test_operations_on_a_plain_storage(make_server: Make, kind: str, tmp_path: Path, backend: str) -> None:
    server = make_server(kind, environment={**AT_ONCE, **storages_of(tmp_path, backend)})
    s3 = server.client()
    s3.create_bucket(Bucket="bucket")
    small, large = os.urandom(SMALL), os.urandom(LARGE)
    for key, body in (("empty", b""), ("small", small), ("large", large)):
        s3.put_object(Bucket="bucket", Key=key, Body=body)
        assert read(s3, "bucket", key) == body
    ranged = s3.get_object(Bucket="bucket", Key="large", Range=f"bytes={MIB - 1}-{2 * MIB}")
    assert ranged["Body"].read() == large[MIB - 1 : 2 * MIB + 1]
    assert s3.get_object(Bucket="bucket", Key="small", Range="bytes=-3")["Body"].read() == small[-3:]
    s3.copy_object(Bucket="bucket", Key="copy", CopySource="bucket/large")
    s3.put_object(Bucket="bucket", Key="small", Body=small[::-1])
    _put_in_parts(s3, large)
    s3.delete_object(Bucket="bucket", Key="large")
    assert "no problems" in server.manage("check_storage", "--verify")
    server.manage("collect_garbage")
    assert len(os.listdir(tmp_path)) == 4, "small, large of copy, and two parts"
    assert read(s3, "bucket", "copy") == large and read(s3, "bucket", "small") == small[::-1]
    assert read(s3, "bucket", "parts") == 2 * large + large[:MIB]
    assert "no problems" in server.manage("check_storage", "--verify")
    for key in ("empty", "small", "copy", "parts"):
        s3.delete_object(Bucket="bucket", Key=key)
    server.manage("collect_garbage")
    assert os.listdir(tmp_path) == [] and query(server, "SELECT * FROM post3_blob") == []
    s3.delete_bucket(Bucket="bucket")


def _put_in_parts(s3: Any, large: bytes) -> None:
    upload = {"Bucket": "bucket", "Key": "parts"}
    upload["UploadId"] = s3.create_multipart_upload(**upload)["UploadId"]
    s3.upload_part(**upload, PartNumber=1, Body=2 * large)
    copied = s3.upload_part_copy(**upload, PartNumber=2, CopySource="bucket/large", CopySourceRange=f"bytes=0-{MIB - 1}")
    parts = [{"PartNumber": part["PartNumber"], "ETag": part["ETag"]} for part in s3.list_parts(**upload)["Parts"]]
    assert parts[1]["ETag"] == copied["CopyPartResult"]["ETag"]
    s3.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})


def test_check_storage_of_a_plain_storage(make_server: Make, kind: str, tmp_path: Path) -> None:
    server = make_server(kind, environment=storages_of(tmp_path, "PlainStorage"))
    s3 = server.client()
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="damaged", Body=os.urandom(SMALL))
    s3.put_object(Bucket="bucket", Key="whole", Body=os.urandom(SMALL))
    names = dict(query(server, "SELECT o.key, b.name FROM post3_object o JOIN post3_blob b ON b.id = o.blob_id"))
    os.truncate(tmp_path / names["damaged"], SMALL - 1)
    for orphan in ("empty orphan", "orphan"):
        Path(tmp_path, orphan).write_bytes(orphan[:-6].encode())
        os.utime(tmp_path / orphan, (0, 0))
    with pytest.raises(AssertionError) as failed:
        server.manage("check_storage", "--json", "--repair", "--min-age=1000")
    lines = [json.loads(line) for line in str(failed.value).splitlines() if line.startswith("{")]
    found = {(line["kind"], line["what"].split("(")[-1].rstrip(")"), line["repaired"]) for line in lines if "kind" in line}
    assert found == {("missing", names["damaged"], False), ("orphan", "empty orphan", True), ("orphan", "orphan", True)}
    assert set(os.listdir(tmp_path)) == set(names.values())


def test_save_that_dies_leaves_a_pending_row_for_the_worker(make_server: Make, kind: str, tmp_path: Path) -> None:
    server = make_server(kind, environment={**AT_ONCE, **storages_of(tmp_path, "DyingStorage")})
    s3 = server.client()
    s3.create_bucket(Bucket="bucket")
    s3.put_object(Bucket="bucket", Key="small", Body=b"alive")
    with pytest.raises(HTTPClientError):
        s3.put_object(Bucket="bucket", Key="deadly", Body=DEADLY)
    states = query(server, "SELECT state, name FROM post3_blob ORDER BY id")
    assert [state for state, _ in states] == [1, 0]
    assert {name for _, name in states} == set(os.listdir(tmp_path))
    server.manage("collect_garbage")
    assert query(server, "SELECT state, name FROM post3_blob") == states[:1]
    assert os.listdir(tmp_path) == [states[0][1]]
