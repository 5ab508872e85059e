"""The machine's limits in the same run: the rates of processor, loopback and disk without any server.

A figure of post3 is meaningful only relative to the limit of its work. PostgreSQL's limits are in
`limits_postgresql.py`.
"""

import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .limits_postgresql import PostgreSQL

KIB, MIB = 1024, 1024 * 1024
THREADS = 8


@dataclass(frozen=True, slots=True)
class Limit:
    """The title of a limit, and its unit: operations (`/s`) or millions of bytes (`MB/s`) per second."""

    title: str
    unit: str


LIMITS = {
    "select-4k/1": Limit("pgbench: prepared SELECT of a 4 KiB row by primary key", "/s"),
    "select-4k/8": Limit("pgbench: prepared SELECT of a 4 KiB row by primary key", "/s"),
    "insert-4k/1": Limit("pgbench: durable INSERT of an object row with 4 KiB, two indexes", "/s"),
    "insert-4k/8": Limit("pgbench: durable INSERT of an object row with 4 KiB, two indexes", "/s"),
    "page/1": Limit("pgbench: SELECT of 1,000 names by index", "/s"),
    "page/8": Limit("pgbench: SELECT of 1,000 names by index", "/s"),
    "folders/1": Limit("pgbench: loose index scan for 100 common prefixes of 10,000 names", "/s"),
    "insert-1m/8": Limit("psycopg: durable INSERT of 1 MiB rows", "MB/s"),
    "copy-64m/1": Limit("psycopg: binary COPY of 64 MiB in 1 MiB rows, durable", "MB/s"),
    "select-64m/1": Limit("psycopg: SELECT of the same 1 MiB rows", "MB/s"),
    "substring-64k/1": Limit("psycopg: SELECT of 64 KiB out of 1 MiB rows", "/s"),
    "md5": Limit("MD5, one thread", "MB/s"),
    "sha256": Limit("SHA-256, one thread", "MB/s"),
    "loopback": Limit("TCP on the loopback from memory, one connection", "MB/s"),
    "file-4k/8": Limit("files of 4 KiB: create, write, fsync, rename, fsync of the directory", "/s"),
    "file-sequential": Limit("one file, written in 1 MiB pieces, fsync after each 64 MiB", "MB/s"),
}


def measure_limits(seconds: float, directory: Path, database_url: str | None) -> dict[str, float]:
    """Measure each limit for `seconds`. Return them by name, with PostgreSQL's if there is a database to use up."""
    limits = PostgreSQL(database_url, seconds, directory).measure() if database_url else {}
    return limits | {
        "md5": _hashing(hashlib.md5, seconds),
        "sha256": _hashing(hashlib.sha256, seconds),
        "loopback": _loopback(seconds),
        "file-4k/8": _small_files(directory, seconds),
        "file-sequential": _sequential_file(directory, seconds),
    }


def _hashing(algorithm: Callable[[], Any], seconds: float) -> float:
    piece, digest, size = os.urandom(MIB), algorithm(), 0
    start = time.perf_counter()
    while (elapsed := time.perf_counter() - start) < seconds:
        digest.update(piece)
        size += MIB
    return size / elapsed / 1e6


def _loopback(seconds: float) -> float:
    """Send from one thread to another. Both release Python's lock while the system copies."""
    piece, buffer, size = memoryview(os.urandom(256 * KIB)), bytearray(256 * KIB), 0

    def send(port: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as sender:
            end = time.perf_counter() + seconds
            while time.perf_counter() < end:
                sender.sendall(piece)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        sending = threading.Thread(target=send, args=(listening.getsockname()[1],))
        sending.start()
        receiver, _ = listening.accept()
        with receiver:
            start = time.perf_counter()
            while received := receiver.recv_into(buffer):
                size += received
            elapsed = time.perf_counter() - start
        sending.join()
    return size / elapsed / 1e6


def _small_files(directory: Path, seconds: float) -> float:
    """Write files to a temporary name and move them into one of many directories, as a storage does."""
    body, counts = os.urandom(4 * KIB), [0] * THREADS
    aside, places = directory / "aside", [directory / f"{number:02x}" for number in range(256)]
    for place in (aside, *places):
        place.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()

    def write(thread: int) -> None:
        while time.perf_counter() - start < seconds:
            name = f"{thread}-{counts[thread]}"
            place = places[(counts[thread] * THREADS + thread) % len(places)]
            descriptor = os.open(aside / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            os.write(descriptor, body)
            os.fsync(descriptor)
            os.close(descriptor)
            os.rename(aside / name, place / name)
            _sync_directory(place)
            counts[thread] += 1

    threads = [threading.Thread(target=write, args=(thread,)) for thread in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rate = sum(counts) / (time.perf_counter() - start)
    for path in (path for place in places for path in place.iterdir()):
        path.unlink()
    return rate


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(descriptor)
    os.close(descriptor)


def _sequential_file(directory: Path, seconds: float) -> float:
    piece, size, path = os.urandom(MIB), 0, directory / "sequential"
    start = time.perf_counter()
    while time.perf_counter() - start < seconds:
        with open(path, "wb", buffering=0) as file:
            for _ in range(64):
                size += file.write(piece)
            os.fsync(file.fileno())
    elapsed = time.perf_counter() - start
    path.unlink()
    return size / elapsed / 1e6
