"""Every acknowledged write is synced, in an order that a power cut cannot break, as seen in the system calls."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from ..raw import RawClient
from ..servers import Server
from .sync_order import Order, traced

BUCKET = "power"
PART = 300_000


def test_a_write_is_synced_in_order_before_it_is_answered(make_server: Callable[..., Server], tmp_path: Path) -> None:
    server = make_server("sqlite-files", environment={"POST3_MIN_PART_SIZE": "65536"})
    client = RawClient(server.host, server.port, server.access_key, server.secret_key)

    def done(method: str, key: str, query: str = "", headers: tuple[tuple[str, str], ...] = (), body: bytes = b"") -> bytes:
        answer = client.send(method, f"/{BUCKET}{key and '/'}{key}", query, headers, body)
        assert answer is not None and answer.status in (200, 204), answer
        return answer.body + answer.headers.get("etag", "").encode()

    done("PUT", "")
    trace = tmp_path / "trace"
    with traced(server.pid, trace):
        for body in (b"small", b"small", b"large" * 500_000, b"", b"large" * 500_000):
            done("PUT", "a", body=body)
        done("PUT", "b", headers=(("x-amz-copy-source", f"/{BUCKET}/a"),))
        done("PUT", "c", headers=(("If-None-Match", "*"),), body=b"conditional")
        upload = re.findall(rb"<UploadId>(.*)</UploadId>", done("POST", "d", "uploads"))[0].decode()
        etags = [done("PUT", "d", f"partNumber={number}&uploadId={upload}", body=b"p" * PART).decode() for number in (1, 2)]
        parts = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>" for number, etag in enumerate(etags, 1)
        )
        document = f"<CompleteMultipartUpload>{parts}</CompleteMultipartUpload>".encode()
        done("POST", "d", f"uploadId={upload}", body=document)
        for key in "abcd":
            done("DELETE", key)
    lines = trace.read_text(errors="replace").splitlines()
    order = Order(str(server.data_dir / "var")).read(lines)
    assert not order.faults, "\n".join([*order.faults[:10], *lines[:300]])
    seen = order.seen
    assert seen["answered 200"] == 11 and seen["answered 204"] == 4, seen
    # Bytes and descriptions: two per body except the empty one; one each for the empty body, the copy and the completed
    # upload; two parts.
    assert seen["named"] >= 12 and seen["removed"] >= 4 and seen["catalogue written"] > 15, seen


SYNC_DATA = "1 fdatasync(5</r/objects/.tmp/k>) = 0"
NAME = '1 renameat(4</r/objects/.tmp>, "k", 6</r/objects/b/00>, "k") = 0'
SYNC_NAME = "1 fsync(6</r/objects/b/00>) = 0"
COMMIT = '1 pwrite64(7</r/catalogue.sqlite3-wal>, "…", 24, 0) = 24'
SYNC_COMMIT = ["1 fdatasync(7</r/catalogue.sqlite3-wal> <unfinished ...>", "1 <... fdatasync resumed>) = 0"]
ANSWER = '2 write(9<TCP:[127.0.0.1:1->127.0.0.1:2]>, "HTTP/1.1 200 OK", 15) = 15'
PUT = ['1 write(5</r/objects/.tmp/k>, "k", 1) = 1', SYNC_DATA, NAME, SYNC_NAME, COMMIT, *SYNC_COMMIT, ANSWER]
REMOVE = '1 unlinkat(6</r/objects/b/00>, "k", 0) = 0'
DELETE = [COMMIT, *SYNC_COMMIT, REMOVE, SYNC_NAME, ANSWER.replace("200 OK", "204 No Content")]


def test_traces_in_order_have_no_faults() -> None:
    assert not Order("/r").read([*PUT, *DELETE]).faults


@pytest.mark.parametrize(
    "trace",
    [
        [line for line in PUT if line != SYNC_DATA],
        [line for line in PUT if line != SYNC_NAME],
        [line for line in PUT if line not in SYNC_COMMIT],
        [PUT[0], NAME, SYNC_DATA, *PUT[3:]],
        [*PUT[:3], COMMIT, *SYNC_COMMIT, SYNC_NAME, ANSWER],
        [*PUT[:6], ANSWER, PUT[6]],
        [PUT[0], SYNC_DATA.replace("= 0", "= -1 EIO"), *PUT[2:]],
        [REMOVE, SYNC_NAME, COMMIT, *SYNC_COMMIT, DELETE[-1]],
        [line for line in DELETE if line != SYNC_NAME],
    ],
    ids=[
        "data not synced",
        "name not synced",
        "commit not synced",
        "named before its data is synced",
        "commit before the name is synced",
        "answer while the commit is being synced",
        "sync failed",
        "removed before the commit",
        "removal not synced",
    ],
)
def test_traces_out_of_order_have_faults(trace: list[str]) -> None:
    assert Order("/r").read(trace).faults
