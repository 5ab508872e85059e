"""Memory stays flat: a large object passes through the server in pieces, wherever its bytes are stored."""

import hashlib
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.raw import RawClient
from tests.servers import Server

MIB = 1 << 20
SIZE, LIMIT = 300 * MIB, 300 * MIB
#: Seconds that each direction may take.
PATIENCE = 60


def tree_of(pid: int) -> Iterator[int]:
    """Yield a process and all its descendants."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from tree_of(int(child))


def peak_of(pid: int) -> int:
    """Return the sum of the peak resident bytes of a process and its descendants."""
    peaks = [Path(f"/proc/{process}/status").read_text() for process in tree_of(pid)]
    return sum(int(line.split()[1]) * 1024 for status in peaks for line in status.splitlines() if line.startswith("VmHWM:"))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite-files", "postgresql-blocks"])
def test_memory_of_a_large_upload_and_its_download(make_server: Callable[..., Server], kind: str) -> None:
    server = make_server(kind)
    server.client().create_bucket(Bucket="memory")
    raw = RawClient(server.host, server.port, server.access_key, server.secret_key)
    before = peak_of(server.pid)
    piece = hashlib.shake_128(b"piece").digest(MIB)
    sent = hashlib.md5()

    length = [("Content-Length", str(SIZE))]
    request = raw.sign("PUT", "/memory/large", payload_hash="UNSIGNED-PAYLOAD", unsigned_headers=length)
    start = time.monotonic()
    with socket.create_connection((raw.host, raw.port), timeout=PATIENCE) as connection:
        connection.sendall(request.head())
        for number in range(SIZE // MIB):
            block = number.to_bytes(4, "big") + piece[4:]
            sent.update(block)
            connection.sendall(block)
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 200 "), answer
    assert f'"{sent.hexdigest()}"'.encode() in answer
    assert time.monotonic() - start < PATIENCE
    after_upload = peak_of(server.pid)

    received, count = hashlib.md5(), 0
    start = time.monotonic()
    body = server.client().get_object(Bucket="memory", Key="large")["Body"]
    time.sleep(1)  # a reader that is slower than the server
    for block in body.iter_chunks(MIB):
        received.update(block)
        count += len(block)
    assert (count, received.hexdigest()) == (SIZE, sent.hexdigest())
    assert time.monotonic() - start < PATIENCE
    peak = peak_of(server.pid)
    assert peak < LIMIT, f"{before >> 20} MiB before, {after_upload >> 20} after the upload, {peak >> 20} after the download"
    # These figures are really resident memory, and far from the object's size.
    assert 20 * MIB < before <= after_upload <= peak
    server.client().delete_object(Bucket="memory", Key="large")
    server.stop()
