"""Fill buckets with SQL: the rows that PUTs would have left, millions of them in minutes.

Keys have the form `d0001/07/k00000123`: `tops` prefixes, `subs` below each of them, and objects spread evenly below
those. Some objects, evenly distributed, have 4 KiB of bytes (a blob and a block); the others are empty.
"""

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
from awscrt import checksums

from .stand import say

BODY_SIZE, BLOCK_SIZE = 4096, 1 << 20
#: Rows inserted by one statement.
BATCH = 500_000
#: A prime: number * STRIDE modulo the number of objects visits all objects in no particular order.
STRIDE = 2_654_435_761

# The MD5 and CRC64NVME of no bytes, for empty objects.
OBJECTS = """
INSERT INTO post3_object (
    bucket_id, key, version_id, sequence, is_latest, is_delete_marker, owner_id, size, etag, storage_class, last_modified,
    checksum_algorithm, checksum_type, checksum, blob_id, parts_count, upload_id, sidecar,
    content_type, content_encoding, content_disposition, content_language, cache_control, expires)
SELECT %(bucket)s,
    format('d%%s/%%s/k%%s', lpad((n / %(per_top)s)::text, 4, '0'), lpad((n %% %(per_top)s / %(per_sub)s)::text, 2, '0'),
        lpad((n %% %(per_sub)s)::text, 8, '0')),
    'null', 1, true, false, %(owner)s, CASE WHEN body.blob_id IS NULL THEN 0 ELSE %(body_size)s END,
    coalesce(body.etag, 'd41d8cd98f00b204e9800998ecf8427e'), 'STANDARD', now(),
    'CRC64NVME', 'FULL_OBJECT', coalesce(body.checksum, 'AAAAAAAAAAA='), body.blob_id, 0, '', '',
    'binary/octet-stream', '', '', '', '', ''
FROM (SELECT i * %(stride)s::bigint %% %(objects)s AS n FROM generate_series(%(first)s::bigint, %(last)s) AS i) AS numbers
LEFT JOIN body ON body.number = n
"""


@dataclass(frozen=True, slots=True)
class Filling:
    """The contents of a bucket."""

    bucket: str
    objects: int
    tops: int
    subs: int
    bodies: int
    #: True if rows are stored in the order of their keys, as after an ordered upload; False for no particular order.
    in_order: bool = True

    def __post_init__(self) -> None:
        if self.objects % (self.tops * self.subs):
            raise ValueError(f"{self.objects} objects do not spread evenly over {self.tops} times {self.subs} prefixes")

    def key(self, number: int) -> str:
        """Return the key of an object. Keys sort in the order of their numbers."""
        top, place = divmod(number, self.objects // self.tops)
        sub, place = divmod(place, self.objects // self.tops // self.subs)
        return f"d{top:04}/{sub:02}/k{place:08}"

    def numbers_with_body(self) -> range:
        return range(0, self.objects, self.objects // self.bodies)[: self.bodies] if self.bodies else range(0)


def body_of(key: str) -> bytes:
    """Return the bytes of an object."""
    return hashlib.shake_128(key.encode()).digest(BODY_SIZE)


def fill(url: str, filling: Filling) -> None:
    """Create a bucket's objects. The bucket must exist and be empty."""
    with psycopg.connect(url, autocommit=True) as connection:
        # These rows need no foreign key checks of bucket, owner and blob. Indexes and other constraints work as usual.
        connection.execute("SET session_replication_role = replica")
        connection.execute("SET synchronous_commit = off")
        bucket, owner = _only(connection, "SELECT id, owner_id FROM post3_bucket WHERE name = %s", filling.bucket)
        connection.execute("CREATE TEMPORARY TABLE body (number bigint PRIMARY KEY, blob_id bigint, etag text, checksum text)")
        _copy_bodies(connection, filling)
        connection.execute("ANALYZE body")
        per_top = filling.objects // filling.tops
        parameters = {
            "bucket": bucket,
            "owner": owner,
            "objects": filling.objects,
            "per_top": per_top,
            "per_sub": per_top // filling.subs,
            "body_size": BODY_SIZE,
            "stride": 1 if filling.in_order else STRIDE,
        }
        for first in range(0, filling.objects, BATCH):
            last = min(first + BATCH, filling.objects) - 1
            connection.execute(OBJECTS, {**parameters, "first": first, "last": last})
            say(f"{filling.bucket}: {last + 1:,} of {filling.objects:,} objects")
        connection.execute("DROP TABLE body")


def settle(url: str) -> None:
    """Run tasks now that would otherwise run during measurements: vacuum, statistics, a checkpoint.

    Reset scan counts.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        # A checkpoint first, because vacuum cannot mark rows as committed before their commit is on disk, and the first
        # readers would have to do it.
        connection.execute("CHECKPOINT")
        # Only these tables: PostgreSQL assumes that a table vacuumed while empty stays empty, and plans to scan it.
        connection.execute("VACUUM (ANALYZE) post3_object, post3_blob, post3_block")
        connection.execute("CHECKPOINT")
        connection.execute("SELECT pg_stat_reset()")


def _copy_bodies(connection: psycopg.Connection, filling: Filling) -> None:
    """Create the blobs and blocks of objects with bytes. Record which object they belong to."""
    keys = [(number, filling.key(number)) for number in filling.numbers_with_body()]
    # IDs that no other session can get.
    sequence = "pg_get_serial_sequence('post3_blob', 'id')"
    first = _only(connection, f"SELECT setval({sequence}, nextval({sequence}) + %s) - %s", len(keys), len(keys))[0]
    now = _only(connection, "SELECT now()")[0]
    blobs = "COPY post3_blob (id, storage_class, name, size, md5, block_size, state, created_at) FROM STDIN"
    blocks = 'COPY post3_block (blob_id, "index", data) FROM STDIN (FORMAT BINARY)'
    described = list(_described(keys, first))
    with connection.cursor() as cursor:
        with cursor.copy(blobs) as copy:
            for _, blob, etag, _ in described:
                copy.write_row((blob, "STANDARD", "", BODY_SIZE, etag, BLOCK_SIZE, 1, now))
        with cursor.copy(blocks) as copy:
            copy.set_types(["int8", "int4", "bytea"])
            for (_, key), (_, blob, _, _) in zip(keys, described, strict=True):
                copy.write_row((blob, 0, body_of(key)))
        with cursor.copy("COPY body FROM STDIN") as copy:
            for row in described:
                copy.write_row(row)


def _described(keys: list[tuple[int, str]], first: int) -> Iterator[tuple[int, int, str, str]]:
    for place, (number, key) in enumerate(keys):
        body = body_of(key)
        checksum = base64.b64encode(checksums.crc64nvme(body).to_bytes(8, "big")).decode()
        yield number, first + place, hashlib.md5(body, usedforsecurity=False).hexdigest(), checksum


def _only(connection: psycopg.Connection, statement: str, *parameters: object) -> tuple:
    row = connection.execute(statement, parameters).fetchone()
    assert row is not None, statement
    return row
