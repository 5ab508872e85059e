"""Damage stored bytes behind the server's back, and run `check_storage`."""

import json
from pathlib import Path
from typing import Any

from tests import starting
from tests.helpers import query
from tests.servers import Server


def blobs_of(server: Server, bucket: str, key: str) -> list[tuple[int, str, int]]:
    """Return (id, name, size) of an object's blobs, in order."""
    of = "FROM post3_object o JOIN post3_bucket u ON u.id = o.bucket_id"
    where = "WHERE u.name = ? AND o.key = ? AND o.is_latest"
    single = f"SELECT b.id, b.name, b.size {of} JOIN post3_blob b ON b.id = o.blob_id {where}"
    parts = (
        f"SELECT b.id, b.name, b.size {of} JOIN post3_objectpart p ON p.object_id = o.id "
        f"JOIN post3_blob b ON b.id = p.blob_id {where} ORDER BY p.part_number"
    )
    return query(server, single, [bucket, key]) or query(server, parts, [bucket, key])  # type: ignore[return-value]


def file_of(server: Server, name: str) -> Path:
    return server.data_dir / "var" / "objects" / name


def flip(server: Server, blob: tuple[int, str, int], offset: int) -> None:
    """Flip a bit of the byte at `offset` of a blob. Doing so twice undoes it."""
    blob_id, name, _ = blob
    if name:
        with file_of(server, name).open("r+b") as file:
            file.seek(offset)
            byte = file.read(1)[0]
            file.seek(offset)
            file.write(bytes([byte ^ 1]))
        return
    index, within = divmod(offset, 1 << 20)
    statement = (
        'UPDATE post3_block SET data = set_byte(data, ?, get_byte(data, ?) # 1) WHERE blob_id = ? AND "index" = ? RETURNING 1'
    )
    assert query(server, statement, [within, within, blob_id, index])


def lose_the_end(server: Server, blob: tuple[int, str, int]) -> None:
    """Remove the last byte. If the blob is one byte longer than a block, this removes the last block."""
    blob_id, name, size = blob
    if name:
        with file_of(server, name).open("r+b") as file:
            file.truncate(size - 1)
        return
    statement = (
        "UPDATE post3_block SET data = substring(data from 1 for length(data) - 1) WHERE blob_id = ? "
        'AND "index" = (SELECT max("index") FROM post3_block WHERE blob_id = ?) RETURNING 1'
    )
    assert query(server, statement, [blob_id, blob_id])


def check_storage(server: Server, *arguments: str) -> tuple[int, list[dict[str, Any]], dict[str, Any]]:
    """Run the command. Return its exit status, its findings, and its summary."""
    done = starting.run("manage.py", "check_storage", "--json", *arguments, environment=server.environment)
    assert done.returncode in (0, 2, 3), done.stderr
    *findings, summary = map(json.loads, done.stdout.splitlines())
    return done.returncode, findings, summary
