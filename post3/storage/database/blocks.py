"""Store bytes in the catalogue's own database, one block per row.

Each block is written by a short separate statement, so no transaction is open while a client sends. On PostgreSQL these
statements commit without waiting for the disk (`synchronous_commit = off`). The write-ahead log is sequential, so the
flush that makes the catalogue's publishing commit durable makes every earlier block durable too. Reading takes one
statement per block on the calling thread's connection, so a slow reader holds no cursor and no snapshot.

Only this module accesses the table of `Block`.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.db import Error, connection

from post3.db import outages, sql

from ..base import KIB, MIB, BlobMissing, BlobRef, RangePieces, StorageError, StoredName, Stream
from ..capabilities import CatalogueResident
from .vacuum import Vacuum

logger = logging.getLogger(__name__)

#: Blocks that one statement copies, and deletes. This bounds the locks, the log and the time of a statement.
COPY_BATCH, DELETE_BATCH = 16, 64
#: Blobs whose sizes one statement reads.
WALK_BATCH = 500
#: Blocks per statement of a deletion in steps. Other commits wait until its part of the log is on disk.
DELETE_STEP = 8
#: A block is read and written as a whole, in memory and on the wire.
MAX_BLOCK_SIZE = 64 * MIB
MAX_ROW_SIZE = 64 * KIB

# {relaxed} is a condition that is always true; see `_run`.
INSERT = 'INSERT INTO post3_block (blob_id, "index", data) SELECT %s, %s, %s WHERE {relaxed}'
COPY = (
    'INSERT INTO post3_block (blob_id, "index", data) SELECT %s, "index", data FROM post3_block '
    'WHERE blob_id = %s AND "index" >= %s AND "index" < %s AND {relaxed} RETURNING length(data)'
)
DELETE = (
    'DELETE FROM post3_block WHERE blob_id = %s AND "index" IN '
    '(SELECT "index" FROM post3_block WHERE blob_id = %s ORDER BY "index" LIMIT %s) AND {relaxed}'
)
# `length` reads no bytes: PostgreSQL stores it with the pointer to the bytes, SQLite in the row's header.
SIZES = (
    'SELECT blob_id, CAST(sum(length(data)) AS bigint), count(*), max("index") FROM post3_block '
    "WHERE {condition} GROUP BY blob_id ORDER BY blob_id LIMIT %s"
)
DELETE_ALL = "DELETE FROM post3_block WHERE blob_id = ANY(%s::bigint[]) AND {relaxed}"
# Evaluated once, before the first row, and valid for this transaction only, which is this one statement. This takes one
# round trip; SET LOCAL in a transaction would take four.
RELAXED = "(SELECT set_config('synchronous_commit', 'off', true)) = 'off'"


class DatabaseStorage(CatalogueResident):
    """Blocks of `block_size` bytes as rows of `post3_block`, on PostgreSQL and SQLite."""

    def __init__(self, storage_class: str, block_size: int = MIB, row_size: int = 8 * KIB) -> None:
        super().__init__(storage_class)
        if not 0 <= row_size <= MAX_ROW_SIZE:
            raise ImproperlyConfigured(f"row_size of storage class {storage_class} must be 0 to {MAX_ROW_SIZE} bytes")
        self.row_size = row_size
        if not 1 <= block_size <= MAX_BLOCK_SIZE:
            raise ImproperlyConfigured(f"block_size of storage class {storage_class} must be 1 to {MAX_BLOCK_SIZE} bytes")
        self.block_size = block_size
        self.inline_size = min(block_size, 256 * KIB)
        self.inline_insert_size = min(block_size, MIB)
        self._vacuum = Vacuum()

    def new_name(self, hint: str) -> str:
        return ""  # blocks are found by the id of their blob

    def save(self, ref: BlobRef, stream: Stream) -> int:
        """Save `stream` block by block, durable once the next commit of this database (the catalogue's) is durable."""
        size = index = 0
        try:
            while block := _read_block(stream, ref.block_size or self.block_size):
                with self._telling("save", ref):
                    _run(INSERT, [ref.id, index, block], sql.execute)
                size += len(block)
                index += 1
        except BaseException:
            if index:
                self._discard(ref)
            raise
        return size

    def open(self, ref: BlobRef, start: int, length: int) -> "BlockPieces":
        return BlockPieces(self, ref, start, length)

    def copy(self, source: BlobRef, target: BlobRef) -> int:
        if (target.block_size or self.block_size) != source.block_size:
            # The setting changed after the source was saved, so the blocks are cut again.
            return self.save(target, _PieceStream(self.open(source, 0, source.size)))
        copied = 0
        try:
            for index in range(0, -(-source.size // source.block_size), COPY_BATCH):
                with self._telling("copy", source):
                    rows = _run(COPY, [target.id, source.id, index, index + COPY_BATCH], sql.fetch)
                copied += sum(row[0] for row in rows)
            if copied != source.size:
                raise BlobMissing(f"{self._describe(source)} has {copied} of {source.size} bytes")
        except BaseException:
            self._discard(target)
            raise
        return copied

    def delete(self, ref: BlobRef) -> None:
        with self._telling("delete", ref):
            while _run(DELETE, [ref.id, ref.id, DELETE_BATCH], sql.execute) == DELETE_BATCH:
                pass

    def delete_small(self, refs: Sequence[BlobRef]) -> list[BlobRef]:
        if connection.vendor != "postgresql":
            return super().delete_small(refs)
        with self._telling("delete", refs[0] if refs else None):
            _run(DELETE_ALL, [[ref.id for ref in refs]], sql.execute)
        return list(refs)

    def delete_in_steps(self, ref: BlobRef) -> Iterator[None]:
        deleted = DELETE_STEP
        while deleted == DELETE_STEP:
            with self._telling("delete", ref):
                deleted = _run(DELETE, [ref.id, ref.id, DELETE_STEP], sql.execute)
            yield

    def reclaim(self, freed: int) -> None:
        self._vacuum.note(freed)

    def check(self) -> None:
        with self._telling("reach", None):
            sql.fetch("SELECT 1 FROM post3_block LIMIT 1")

    def walk(self) -> Iterator[StoredName]:
        last = -1
        while rows := self._sizes("blob_id > %s", [last]):
            for blob_id, size, _, _ in rows:
                yield StoredName(blob_id, "", size, 0.0)
            last = rows[-1][0]

    def measure(self, refs: Sequence[BlobRef]) -> list[int | None]:
        sizes: dict[int, int] = {}
        for start in range(0, len(refs), WALK_BATCH):
            ids = [ref.id for ref in refs[start : start + WALK_BATCH]]
            for blob_id, size, count, highest in self._sizes(f"blob_id IN ({', '.join(['%s'] * len(ids))})", ids):
                if highest == count - 1:
                    sizes[blob_id] = size
        return [sizes.get(ref.id) for ref in refs]

    def _sizes(self, condition: str, params: list[Any]) -> list[tuple[Any, ...]]:
        """Return (blob id, bytes, blocks, highest index) of at most `WALK_BATCH` blobs, by id."""
        with self._telling("measure", None):
            return outages.retry_read(partial(sql.fetch, SIZES.format(condition=condition), [*params, WALK_BATCH]))

    def inline_insert(self, data: bytes) -> tuple[str, list[Any]]:
        return 'INSERT INTO post3_block (blob_id, "index", data) SELECT id, 0, %s FROM blob', [data]

    def inline_select(self, blob_id: str) -> str:
        return f'(SELECT data FROM post3_block WHERE blob_id = {blob_id} AND "index" = 0)'

    def fetch_piece(self, ref: BlobRef, position: int, wanted: int) -> bytes:
        """Return `wanted` bytes from `position`, all within one block."""
        if not wanted:
            return b""  # a blob of no bytes has no block
        block_size = ref.block_size or self.block_size
        index, offset = divmod(position, block_size)
        where = 'FROM post3_block WHERE blob_id = %s AND "index" = %s'
        if wanted == min(block_size, ref.size - index * block_size):
            statement, params = f"SELECT data {where}", [ref.id, index]
        else:  # stored EXTERNAL on PostgreSQL, so that this reads only the pages it needs
            part = "substring(data from %s for %s)" if connection.vendor == "postgresql" else "substr(data, %s, %s)"
            statement, params = f"SELECT {part} {where}", [offset + 1, wanted, ref.id, index]
        with self._telling("read", ref):
            rows = outages.retry_read(partial(sql.fetch, statement, params))  # a long download may outlive the connection
        if not rows or len(rows[0][0]) != wanted:
            raise BlobMissing(f"block {index} of {self._describe(ref)} {'has a wrong length' if rows else 'is missing'}")
        data: bytes = rows[0][0]
        return data

    def _discard(self, ref: BlobRef) -> None:
        """Delete the blocks of a failed save. If this fails, the worker does it later: the blob is still pending."""
        try:
            self.delete(ref)
        except Exception:
            logger.warning("could not delete the partially written %s", self._describe(ref), exc_info=True)

    @contextmanager
    def _telling(self, doing: str, ref: BlobRef | None) -> Iterator[None]:
        """Turn database errors into a StorageError that says what could not be done."""
        try:
            yield
        except Error as error:
            raise StorageError(f"cannot {doing} {self._describe(ref) if ref else 'the blocks'}: {error}") from error

    def _describe(self, ref: BlobRef) -> str:
        return f"blob {ref.id} of storage class {self.storage_class}"


class BlockPieces(RangePieces):
    """The bytes of a range in pieces of at most a block, each read on the connection of the reading thread."""

    def __init__(self, storage: DatabaseStorage, ref: BlobRef, start: int, length: int) -> None:
        super().__init__(partial(storage.fetch_piece, ref), start, length)
        self._block_size = ref.block_size or storage.block_size

    @property
    def uses_connection(self) -> bool:
        return True

    def _piece_size(self, position: int, most: int) -> int:
        """Return the size of a piece that ends within the block of `position`."""
        return min(most, self._block_size - position % self._block_size)


class _PieceStream:
    """A stream over an iterator of pieces; a read returns one piece or the rest of it."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest = pieces, b""

    def read(self, size: int = -1, /) -> bytes:
        data = self._rest or next(self._pieces, b"")
        size = len(data) if size < 0 else size
        self._rest = data[size:]
        return data[:size]


def _read_block(stream: Stream, size: int) -> bytes:
    """Read until `size` bytes or the end: a socket may return fewer bytes than requested."""
    block = stream.read(size)
    if not block or len(block) == size:
        return block
    pieces, have = [block], len(block)
    while have < size and (piece := stream.read(size - have)):
        pieces.append(piece)
        have += len(piece)
    return b"".join(pieces)


def _run(statement: str, params: Sequence[Any], how: Any) -> Any:
    """Run a statement that writes blocks with `sql.fetch` or `sql.execute`.

    Outside a transaction, its commit does not wait for the disk. Inside a caller's transaction the statement must leave
    the setting alone: it would last until the caller's commit, which would then be acknowledged before it is on disk.
    """
    relaxed = connection.vendor == "postgresql" and not connection.in_atomic_block
    return how(statement.format(relaxed=RELAXED if relaxed else "1 = 1"), params)
