"""`python -m tests.upgrades.make`: freeze a store of each kind, created by the code of this tree.

The stores in `stores/0010` were created by commit d8ad89a, whose last migration is 0010. Run this only in a release
that is about to change the schema, before the change, and commit the new stores. Existing stores never change. Some of
the SQL below depends on the release's own tables.
"""

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ..cluster import create_database, private_cluster
from ..console.test_console import Browser
from ..helpers import path_of, query
from ..interrupts import run_program
from ..servers import ROOT, Server
from . import content, reading
from .content import ABROAD, DAMAGED, HALF_COLLECTED, MAIN, User
from .freezing import ENVIRONMENT, KINDS, STORES, freeze
from .tables import count_columns

OPERATOR, OTHER = "operator", "zoë"
PATIENCE = 30.0
#: Columns without a value in any row of a store: not yet written by any release, or absent from one kind of store.
EMPTY_COLUMNS = {
    "": {"post3_object.is_delete_marker"},
    "files": {"post3_blob.block_size", "post3_block.blob_id", "post3_block.index", "post3_block.data"},
    "blocks": {"post3_blob.name", "post3_object.sidecar"},
}


def main(arguments: Sequence[str]) -> int:
    migrations = sorted(path.stem[:4] for path in (ROOT / "post3" / "migrations").glob("0*.py"))
    release = STORES / migrations[-1]
    if release.exists():
        print(f"{release} already exists, and frozen stores never change.", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="post3-freezing-") as directory, private_cluster() as url:
        made = Path(directory, "release")
        made.mkdir()
        expected = {kind: make_store(kind, Path(directory, kind), url, made) for kind in KINDS}
        (made / "expected.json").write_text(json.dumps(expected, indent=1, ensure_ascii=False) + "\n")
        STORES.mkdir(exist_ok=True)
        shutil.copytree(made, release)
    return 0


def make_store(kind: str, directory: Path, url: str, release: Path) -> dict[str, Any]:
    """Create a store and freeze it. Return its expected contents."""
    directory.mkdir()
    environment = {**ENVIRONMENT, **KINDS[kind]}
    if kind.startswith("postgresql"):
        environment["DATABASE_URL"] = create_database(url)
    else:
        environment["POST3_SECRET_KEY"] = ""  # stored in the data directory
    server = Server(directory, environment)
    try:
        return fill_and_freeze(server, kind, release)
    finally:
        server.stop()


def fill_and_freeze(server: Server, kind: str, release: Path) -> dict[str, Any]:
    server.manage("migrate", "-v", "0")
    keys, password = make_users(server)
    server.run()
    first, second = (User.of(server, keys[number]["access_key"], keys[number]["secret_key"]) for number in (0, 1))
    content.fill(first, second)
    let_worker_work(server, first)
    damage(server, first)
    content.leave_uploads(first, second)
    content.leave_garbage(first)
    visit_console(server, password)
    write_what_no_client_can(server, first)
    server.manage("run_worker", "--once")  # counts stored and damaged objects; the garbage is too recent for it
    interrupt_upload(server, first, kind)
    server.run()
    expected = {
        "secret_key": server.environment["POST3_SECRET_KEY"],
        "keys": keys,
        "console": {"user": OPERATOR, "password": password},
        "api_keys": json.loads(server.manage("list_api_keys", "--json")),
        "users": sorted(query(server, "SELECT username, is_superuser, is_staff, is_active FROM auth_user")),
        "tags": query(server, "SELECT o.key, t.key, t.value FROM post3_objecttag t JOIN post3_object o ON o.id = t.object_id"),
        "damaged": [MAIN, DAMAGED],
        "buckets": reading.read_buckets([first, second]),
        "metrics": reading.read_metrics(server),
    }
    server.stop()
    expected["tables"] = count_columns(server)
    check_nothing_is_empty(kind, expected["tables"])
    freeze(server, kind, release)
    server.run()
    expected["completed"] = complete_uploads({MAIN: first, ABROAD: second}, expected["buckets"])
    return expected


def make_users(server: Server) -> tuple[list[dict[str, Any]], str]:
    """Create both users and their keys, one of them revoked. Return the keys and the operator's password."""
    password = json.loads(server.manage("create_console_user", OPERATOR, "--json"))["password"]
    keys = []
    for user, name in ((OPERATOR, "nightly backups"), (OTHER, ""), (OTHER, "lost laptop")):
        made = json.loads(server.manage("create_api_key", "--user", user, "--create-user", "--name", name, "--json"))
        keys.append({"access_key": made["AWS_ACCESS_KEY_ID"], "secret_key": made["AWS_SECRET_ACCESS_KEY"], "active": True})
    server.manage("revoke_api_key", keys[-1]["access_key"])
    keys[-1]["active"] = False
    return keys, password


def let_worker_work(server: Server, first: User) -> None:
    """Let the worker collect something, and stop it in the middle of a round of scrubbing."""
    for key in content.COLLECTED:
        first.s3.delete_object(Bucket=MAIN, Key=key)
    environment = {"POST3_GARBAGE_GRACE_SECONDS": "0", "POST3_SCRUB_BYTES_PER_SECOND": str(1 << 20)}
    command = [sys.executable, "manage.py", "run_worker", "--interval", "0.2"]
    worker = subprocess.Popen(command, cwd=ROOT, env={**server.environment, **environment}, stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: query(server, "SELECT 1 FROM post3_workerstate WHERE name = 'scrub' AND position > 0"))
    finally:
        worker.terminate()
        worker.wait()


def damage(server: Server, first: User) -> None:
    """Change a byte of an object, and let a read discover it."""
    found = "SELECT b.id, b.name FROM post3_blob b JOIN post3_object o ON o.blob_id = b.id WHERE o.key = ?"
    [(blob, name)] = query(server, found, [DAMAGED])
    if name:
        path = Path(server.environment["POST3_DATA_DIR"], "objects", name)
        path.write_bytes(with_a_changed_byte(path.read_bytes()))
    else:
        [(data,)] = query(server, "SELECT data FROM post3_block WHERE blob_id = ?", [blob])
        changed = [with_a_changed_byte(bytes(data)), blob]
        query(server, "UPDATE post3_block SET data = ? WHERE blob_id = ? RETURNING blob_id", changed)
    first.raw.send("GET", path_of(MAIN, DAMAGED))
    wait_until(lambda: query(server, "SELECT 1 FROM post3_blob WHERE id = ? AND state = 3", [blob]))


def with_a_changed_byte(data: bytes) -> bytes:
    return bytes([data[0] ^ 1]) + data[1:]


def visit_console(server: Server, password: str) -> None:
    """Log in after a wrong password."""
    browser = Browser(server)
    browser.get("/_/admin/login/")
    for attempt in ("wrong", password):
        browser.post("/_/admin/login/", username=OPERATOR, password=attempt, next="/_/admin/")
    assert "Object storage" in browser.page


def write_what_no_client_can(server: Server, first: User) -> None:
    """Leave the remains of crashes and older releases, and tags, which no operation writes yet."""
    [(blob,)] = query(server, "SELECT blob_id FROM post3_object WHERE key = ?", [HALF_COLLECTED])
    first.s3.delete_object(Bucket=MAIN, Key=HALF_COLLECTED)
    query(server, "UPDATE post3_blob SET state = 2 WHERE id = ? RETURNING id", [blob])
    older = "(SELECT blob_id FROM post3_object WHERE key = 'size/4096')"
    query(server, f"UPDATE post3_blob SET crc64nvme = NULL WHERE id = {older} RETURNING id")
    query(server, "UPDATE post3_multipartupload SET key_sequence = NULL WHERE key = ? RETURNING id", [content.OLDER_UPLOAD])
    tagged = "INSERT INTO post3_objecttag (object_id, key, value) SELECT id, ?, ? FROM post3_object WHERE key = 'metadata' "
    for key, value in (("project", "post3"), ("größe", "")):
        query(server, f"{tagged} AND bucket_id = (SELECT id FROM post3_bucket WHERE name = '{MAIN}') RETURNING id", [key, value])


def interrupt_upload(server: Server, first: User, kind: str) -> None:
    """Kill the server in the middle of a large body."""
    body = content.made_body(4 << 20, "interrupted")
    request = first.raw.sign(
        "PUT", path_of(MAIN, "interrupted"), body=body, unsigned_headers=[("Content-Length", str(len(body)))]
    )
    temporary = Path(server.environment["POST3_DATA_DIR"], "objects", ".tmp")
    with socket.create_connection((server.host, server.port), timeout=PATIENCE) as connection:
        connection.sendall(request.head() + body[: 5 << 19])
        if kind.endswith("files"):
            wait_until(lambda: any(path.stat().st_size for path in temporary.iterdir()))
        else:
            pending = "SELECT 1 FROM post3_block k JOIN post3_blob b ON b.id = k.blob_id WHERE b.state = 0"
            wait_until(lambda: query(server, pending))
        server.kill()


def complete_uploads(users: dict[str, User], buckets: dict[str, Any]) -> dict[str, Any]:
    """Complete uploads that have parts. Return the resulting objects by upload ID."""
    return {
        upload["UploadId"]: reading.complete_upload(user, bucket, upload)
        for bucket, user in users.items()
        for upload in buckets[bucket]["uploads"]
        if upload["parts"] and upload["Key"] not in (content.ABORTED_UPLOAD, content.CONTINUED_UPLOAD)
    }


def check_nothing_is_empty(kind: str, tables: dict[str, dict[str, Any]]) -> None:
    """Check that every column has a value in some row. Otherwise a migration could lose a column's values unnoticed."""
    empty = {
        f"{table}.{column}"
        for table, counted in tables.items()
        for column, (filled, _) in counted["columns"].items()
        if table.startswith("post3_") and not filled
    }
    assert empty == EMPTY_COLUMNS[""] | EMPTY_COLUMNS[kind.partition("-")[2]], empty


def wait_until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(0.05)


if __name__ == "__main__":
    run_program(main)
