"""Reads from a storage with a high latency run concurrently, and no other request waits for them."""

import asyncio
import os
import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.db import connection

from post3.server.sending import PROOF, SMALL_PIECE
from post3.storage.base import PIECE
from post3.threads.pools import Threads

from ..servers import Server
from ..storage.suite import in_threads
from .test_plain_storage import storages_of

Make = Callable[..., Server]

CLIENTS = 16
#: The threads that handle requests would read 80 pieces per second: 4 threads, 50 ms per piece.
LATENCY, LEAST_PIECES_PER_SECOND = 0.05, 120
#: Seconds that a read takes, and that another request may take while all reading threads are waiting.
LONG_LATENCY, PATIENCE = 0.5, 0.1


class Downloads:
    """Downloads that all start before any of them continues."""

    def __init__(self, server: Server, pieces: int) -> None:
        self.s3, self.pieces = server.client(max_pool_connections=CLIENTS + 2), pieces
        # The thread that handles the request reads the first piece. All other pieces are small, because no client
        # receives enough bytes to prove that it keeps up.
        self.body = os.urandom(PIECE + pieces * SMALL_PIECE)
        assert len(self.body) <= PROOF
        self.s3.create_bucket(Bucket="bucket")
        self.s3.put_object(Bucket="bucket", Key="k", Body=self.body)
        self.started = 0.0
        self._begun = threading.Barrier(CLIENTS, self._start)

    def run(self) -> float:
        """Download with all clients. Return the seconds that this took after the first pieces."""
        in_threads(CLIENTS, self._download)
        return time.perf_counter() - self.started

    def _start(self) -> None:
        self.started = time.perf_counter()

    def _download(self, number: int) -> None:
        response = self.s3.get_object(Bucket="bucket", Key="k")["Body"]
        self._begun.wait(30)
        assert response.read() == self.body


def test_downloads_from_a_slow_storage(make_server: Make, tmp_path: Path) -> None:
    server = make_server("sqlite-files", environment=storages_of(tmp_path, "SlowStorage", latency=LATENCY))
    downloads = Downloads(server, 12)
    assert CLIENTS * downloads.pieces / downloads.run() > LEAST_PIECES_PER_SECOND


def test_small_requests_while_a_slow_storage_is_read(make_server: Make, tmp_path: Path) -> None:
    server = make_server("sqlite-files", environment=storages_of(tmp_path, "SlowStorage", latency=LONG_LATENCY))
    downloads, ended = Downloads(server, 6), threading.Event()
    downloads.s3.put_object(Bucket="bucket", Key="empty", Body=b"")
    waits: list[float] = []

    def measure() -> None:
        while not ended.is_set():
            began = time.perf_counter()
            downloads.s3.get_object(Bucket="bucket", Key="empty")["Body"].read()
            if downloads.started:
                waits.append(time.perf_counter() - began)

    small = threading.Thread(target=measure)
    small.start()
    try:
        downloads.run()
    finally:
        ended.set()
        small.join()
    assert len(waits) > 10 and statistics.median(waits) < PATIENCE


def test_threads_that_read_keep_no_connection(catalogue: Any) -> None:
    threads = Threads(1, "reading", keeps_connections=False)

    def is_connected(query: bool) -> bool:
        if query:
            connection.ensure_connection()
        return connection.connection is not None

    async def main() -> None:
        assert await threads.run(is_connected, True)
        assert not await threads.run(is_connected, False)

    try:
        asyncio.run(main())
    finally:
        threads.shutdown()
