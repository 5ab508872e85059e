"""The statements behind LIST. The cost of a page depends on the number of entries that it returns.

Without a delimiter, a page is one range of the index of latest versions. With a delimiter, one index seek skips all
keys under a common prefix (a loose index scan): ten prefixes over a million keys take ten seeks. The next seek starts
at the smallest string that does not start with the common prefix: the prefix with the last character of the delimiter
incremented. Keys do not contain U+0000, so no key lies between `key` and `key || chr(1)`.

On PostgreSQL, functions do this (`migrations/_functions.py`), because they use the index whatever the planner
estimates. SQLite executes the statements below.
"""

from collections.abc import Sequence
from typing import Any

from django.db import connection

from ..db.sql import fetch
from .buckets import BucketState, check_current
from .rows import CommonPrefix, ListedObject, as_datetime

_MAX = 0x10FFFF
#: Greater than any key, because a key has at most 1,024 bytes. Appended to a string, it is greater than any key that
#: starts with that string.
_BEYOND = chr(_MAX) * 257


def successor(text: str) -> str | None:
    """Return the smallest string greater than every string that starts with `text`; None if there is none."""
    while text:
        code = ord(text[-1]) + 1
        if code == 0xD800:  # skip the surrogates, which are not characters
            code = 0xE000
        if code <= _MAX:
            return text[:-1] + chr(code)
        text = text[:-1]
    return None


def list_objects(bucket: BucketState, prefix: str, delimiter: str, start: str, limit: int) -> list[ListedObject | CommonPrefix]:
    """Return up to `limit` entries under `prefix` in key order, from the first key >= `start`. Raises BucketChanged."""
    low = max(start, prefix)
    high = successor(prefix) or _BEYOND
    raised = successor(delimiter) or _BEYOND if delimiter else ""
    rows = _read(bucket.id, low, high, limit, len(prefix), delimiter, raised)
    # Keys of objects are never empty, so a first row with an empty key is the bucket's.
    check_current(bucket, rows[0][1] if rows and not rows[0][0] else None)
    del rows[0]
    if not delimiter:
        return [_listed(row) for row in rows]
    if connection.vendor == "sqlite":
        return _entries_of_sqlite(rows, len(delimiter))
    return [CommonPrefix(row[0]) if row[1] is None else _listed(row) for row in rows]


def _read(bucket_id: int, low: str, high: str, limit: int, skip: int, delimiter: str, raised: str) -> list[Any]:
    vendor = connection.vendor
    if not delimiter:
        return fetch(_FLAT[vendor], [bucket_id, bucket_id, low, high, limit])
    if vendor == "postgresql":
        return fetch(_ROLLED_UP_ON_POSTGRESQL, [bucket_id, bucket_id, low, high, limit, skip, delimiter, raised])
    walk = [bucket_id, low, high, skip, bucket_id, delimiter, delimiter, raised, high, limit, delimiter]
    return fetch(_ROLLED_UP_ON_SQLITE, [*walk, bucket_id, bucket_id])


def _entries_of_sqlite(rows: list[Any], delimiter_length: int) -> list[ListedObject | CommonPrefix]:
    entries: list[ListedObject | CommonPrefix] = []
    for key, end, rolled_up, *row in rows:
        if rolled_up:
            entries.append(CommonPrefix(key[: end - 1 + delimiter_length]))
        elif row[0] is not None:  # None: deleted between the walk and the join
            entries.append(_listed(row))
    return entries


def _listed(row: Sequence[Any]) -> ListedObject:
    key, size, etag, last_modified, *others = row
    return ListedObject(key, size, etag, as_datetime(last_modified), *others)


_COLUMNS = "o.key, o.size, o.etag, o.last_modified, o.storage_class, o.owner_id, o.checksum_algorithm, o.checksum_type"
_RANGE = "o.bucket_id = %s AND o.is_latest AND NOT o.is_delete_marker AND o.key >= {low} AND o.key < %s ORDER BY o.key"

#: The first row is the bucket's. It has an empty key, `config_version`, and NULL in all other columns.
_BUCKET = "SELECT '', config_version{} FROM post3_bucket WHERE id = %s UNION ALL SELECT * FROM "
_BEFORE_OBJECTS = _BUCKET.format(", NULL" * (_COLUMNS.count(",") - 1))
_FLAT = {
    "postgresql": f"{_BEFORE_OBJECTS} post3_list_flat(%s::bigint, %s::text, %s::text, %s::integer)",
    "sqlite": f"{_BEFORE_OBJECTS} (SELECT {_COLUMNS} FROM post3_object o WHERE {_RANGE.format(low='%s')} LIMIT %s)",
}
_ROLLED_UP_ON_POSTGRESQL = (
    f"{_BEFORE_OBJECTS} post3_list_rolled_up(%s::bigint, %s::text, %s::text, %s::integer, %s::integer, %s::text, %s::text)"
)


def _rolled_up_on_sqlite() -> str:
    seek = f"SELECT o.key FROM post3_object o WHERE {_RANGE} LIMIT 1"
    # place: the position of the delimiter, counted from 1 after the prefix, whose length is `skip`; 0 if it is missing.
    place = "instr(substr(walk.key, walk.skip + 1), %s)"
    following = f"CASE WHEN {place} > 0 THEN substr(walk.key, 1, walk.skip + {place} - 1) || %s ELSE walk.key || char(1) END"
    return (
        f"WITH RECURSIVE walk(key, n, skip) AS (SELECT ({seek.format(low='%s')}), 1, CAST(%s AS integer) "
        f"UNION ALL SELECT ({seek.format(low=following)}), walk.n + 1, walk.skip FROM walk "
        "WHERE walk.key IS NOT NULL AND walk.n < %s), "
        f"entry AS (SELECT walk.key, walk.n, walk.skip, {place} AS place FROM walk WHERE walk.key IS NOT NULL) "
        f"{_BUCKET.format(', NULL' * (_COLUMNS.count(',') + 2))} "
        f"(SELECT entry.key, entry.skip + entry.place, entry.place > 0, {_COLUMNS} FROM entry "
        "LEFT JOIN post3_object o ON entry.place = 0 AND o.bucket_id = %s AND o.key = entry.key AND o.is_latest ORDER BY entry.n)"
    )


_ROLLED_UP_ON_SQLITE = _rolled_up_on_sqlite()
