"""PostgreSQL's limits: the SQL that an object store needs, run by pgbench and bare psycopg.

pgbench uses little CPU compared with the server. Megabytes are transferred by psycopg in binary, which pgbench cannot
do.
"""

import itertools
import os
import random
import re
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psycopg

from tests.cluster import find_binaries

KIB, MIB = 1024, 1024 * 1024
BODIES, NAMES, FOLDER_SIZE, BLOCKS = 2000, 10_000, 100, 64

# 4 KiB stay in the row, and uncompressed, as random bytes would be anyway.
TABLES = f"""
CREATE TABLE body (id bigint PRIMARY KEY, data bytea NOT NULL) WITH (toast_tuple_target = 8160);
ALTER TABLE body ALTER COLUMN data SET STORAGE EXTERNAL;
CREATE TABLE object (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, bucket bigint NOT NULL, name text COLLATE "C" NOT NULL,
    size bigint NOT NULL, etag text NOT NULL, modified timestamptz NOT NULL, data bytea, UNIQUE (bucket, name)
) WITH (toast_tuple_target = 8160);
ALTER TABLE object ALTER COLUMN data SET STORAGE EXTERNAL;
CREATE TABLE listed (LIKE object INCLUDING ALL);
INSERT INTO listed (bucket, name, size, etag, modified)
    SELECT 1, 'folder-' || lpad((n / {FOLDER_SIZE})::text, 3, '0') || '/object-' || lpad(n::text, 6, '0'), n, md5(n::text), now()
    FROM generate_series(0, {NAMES - 1}) n;
CREATE TABLE block (blob bigint, index integer, data bytea NOT NULL, PRIMARY KEY (blob, index));
ALTER TABLE block ALTER COLUMN data SET STORAGE EXTERNAL;
"""
SELECT = f"\\set id random(1, {BODIES})\nSELECT data FROM body WHERE id = :id;\n"
INSERT = (
    "\\set n random(1, 1000000000000000)\n"
    "INSERT INTO object (bucket, name, size, etag, modified, data)"
    " VALUES (1, 'new/' || :n::bigint, 4096, '0123456789abcdef0123456789abcdef', now(), :data::bytea);\n"
)
PAGE = (
    f"\\set folder random(0, {(NAMES - 1000) // FOLDER_SIZE})\n"
    "SELECT name, size, etag, modified FROM listed"
    " WHERE bucket = 1 AND name > 'folder-' || lpad((:folder::int)::text, 3, '0') ORDER BY name LIMIT 1000;\n"
)
# "0" comes after "/".
FOLDERS = (
    "WITH RECURSIVE found (folder) AS ("
    " (SELECT split_part(name, '/', 1) FROM listed WHERE bucket = 1 ORDER BY name LIMIT 1)"
    " UNION ALL SELECT (SELECT split_part(name, '/', 1) FROM listed"
    " WHERE bucket = 1 AND name >= found.folder || '0' ORDER BY name LIMIT 1) FROM found WHERE found.folder IS NOT NULL)"
    " SELECT folder FROM found WHERE folder IS NOT NULL;\n"
)
INSERT_BLOCK = "INSERT INTO block (blob, index, data) VALUES (%b, %b, %b)"
COPY_BLOCKS = "COPY block (blob, index, data) FROM STDIN (FORMAT BINARY)"


class PostgreSQL:
    """Measures the limits in a separate database, which is of no further use afterwards."""

    def __init__(self, url: str, seconds: float, directory: Path) -> None:
        self.url, self.seconds, self.directory = url, seconds, directory
        self._blobs = itertools.count(1)

    def measure(self) -> dict[str, float]:
        """Return the limits by their names in `limits.LIMITS`."""
        self._fill()
        limits = {}
        for name, script in (("select-4k", SELECT), ("insert-4k", INSERT), ("page", PAGE)):
            for connections in (1, 8):
                limits[f"{name}/{connections}"] = self._pgbench(script, connections)
        limits["folders/1"] = self._pgbench(FOLDERS, 1)
        limits["insert-1m/8"] = self._insert_blocks(8)
        with psycopg.connect(self.url, autocommit=True) as connection:
            limits["copy-64m/1"] = self._copy_blocks(connection)
            limits["select-64m/1"] = self._select_blocks(connection)
            limits["substring-64k/1"] = self._select_parts(connection)
        return limits

    def _fill(self) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(TABLES)
            with connection.cursor() as cursor:
                rows = [(number, os.urandom(4 * KIB)) for number in range(1, BODIES + 1)]
                cursor.executemany("INSERT INTO body VALUES (%b, %b)", rows)
            connection.execute("VACUUM ANALYZE")

    def _pgbench(self, script: str, connections: int) -> float:
        """Return the transactions per second of a script on this many connections."""
        binaries = find_binaries()
        assert binaries is not None, "a cluster is running, so its binaries must exist"
        path = self.directory / "script.sql"
        path.write_text(script)
        place = urlsplit(self.url)
        command = [str(binaries / "pgbench"), "-n", "-M", "prepared", "-f", str(path)]
        command += [
            "-c",
            str(connections),
            "-j",
            str(min(connections, os.cpu_count() or 1)),
            "-T",
            str(max(1, round(self.seconds))),
        ]
        command += ["-D", f"data=\\x{os.urandom(4 * KIB).hex()}"]
        command += ["-h", unquote(place.hostname or ""), "-U", place.username or "", place.path[1:]]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        found = re.search(r"^tps = ([0-9.]+)", done.stdout, re.MULTILINE)
        if done.returncode or not found:
            raise RuntimeError(f"pgbench failed:\n{done.stdout}{done.stderr}")
        return float(found[1])

    def _insert_blocks(self, threads: int) -> float:
        """Insert blocks from this many threads, each in its own commit."""
        body, counts = os.urandom(MIB), [0] * threads
        blobs = [next(self._blobs) for _ in range(threads)]
        barrier = threading.Barrier(threads + 1)

        def insert(thread: int) -> None:
            with psycopg.connect(self.url, autocommit=True) as connection:
                barrier.wait()
                end = time.perf_counter() + self.seconds
                while time.perf_counter() < end:
                    connection.execute(INSERT_BLOCK, (blobs[thread], counts[thread], body), prepare=True)
                    counts[thread] += 1

        running = [threading.Thread(target=insert, args=(thread,)) for thread in range(threads)]
        for thread in running:
            thread.start()
        barrier.wait()
        start = time.perf_counter()
        for thread in running:
            thread.join()
        return sum(counts) * MIB / (time.perf_counter() - start) / 1e6

    def _copy_blocks(self, connection: psycopg.Connection) -> float:
        body = os.urandom(MIB)

        def copy() -> int:
            blob = next(self._blobs)
            with connection.cursor() as cursor, cursor.copy(COPY_BLOCKS) as copying:
                copying.set_types(["int8", "int4", "bytea"])
                for index in range(BLOCKS):
                    copying.write_row((blob, index, body))
            self._copied = blob
            return BLOCKS * MIB

        return self._rate(copy) / 1e6

    def _select_blocks(self, connection: psycopg.Connection) -> float:
        indexes = itertools.cycle(range(BLOCKS))
        cursor = connection.cursor(binary=True)
        statement = "SELECT data FROM block WHERE blob = %b AND index = %b"
        return self._rate(lambda: len(_value(cursor.execute(statement, (self._copied, next(indexes)), prepare=True)))) / 1e6

    def _select_parts(self, connection: psycopg.Connection) -> float:
        chance, cursor = random.Random(1), connection.cursor(binary=True)
        statement = "SELECT substring(data FROM %b FOR 65536) FROM block WHERE blob = %b AND index = %b"

        def select() -> int:
            params = (chance.randrange(MIB - 64 * KIB) + 1, self._copied, chance.randrange(BLOCKS))
            assert len(_value(cursor.execute(statement, params, prepare=True))) == 64 * KIB
            return 1

        return self._rate(select)

    def _rate(self, step: Callable[[], int]) -> float:
        """Return the sum of the steps' return values, per second."""
        total, start = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < self.seconds:
            total += step()
        return total / elapsed


def _value(cursor: psycopg.Cursor) -> bytes:
    row = cursor.fetchone()
    assert row is not None
    return row[0]
