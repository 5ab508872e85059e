"""The statements behind LIST: what a page costs is what it returns.

Without a delimiter, a page is one range of the index of latest versions. With one, the keys under a common prefix are
jumped over by an index seek each (loose index scan by a recursive statement): ten prefixes over a million keys are ten seeks.
The next seek begins at the smallest key that does not begin with the common prefix: the prefix with the last character of
the delimiter raised by one. Keys hold no U+0000, so `key || chr(1)` follows a key at once.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from django.db import connection

from .rows import CommonPrefix, ListedObject, as_datetime
from .sql import fetch

_ROW = "o.key, o.size, o.etag, o.last_modified, o.storage_class, o.owner_id, o.checksum_algorithm, o.checksum_type"
_LATEST = "o.bucket_id = %s AND o.is_latest AND NOT o.is_delete_marker"
_MAX = 0x10FFFF
#: Put behind anything, it is greater than every key that begins so: a key has 1,024 bytes at most.
_BEYOND = chr(_MAX) * 257


def successor(text: str) -> str | None:
    """Return the smallest string greater than every string that begins with `text`; None where there is none."""
    while text:
        code = ord(text[-1]) + 1
        if code == 0xD800:  # surrogates are no characters
            code = 0xE000
        if code <= _MAX:
            return text[:-1] + chr(code)
        text = text[:-1]
    return None


def list_objects(bucket_id: int, prefix: str, delimiter: str, start: str, limit: int) -> list[ListedObject | CommonPrefix]:
    """Return up to `limit` entries in key order from the first key >= `start` (and within `prefix`)."""
    low = max(start, prefix)
    high = successor(prefix)
    if high is not None and low >= high:
        return []
    if not delimiter:
        return _list_flat(bucket_id, low, high, limit)
    raised = successor(delimiter) or _BEYOND
    return _list_rolled_up(bucket_id, prefix, delimiter, raised, low, high, limit)


def _list_flat(bucket_id: int, low: str, high: str | None, limit: int) -> list[ListedObject | CommonPrefix]:
    bound = "" if high is None else " AND o.key < %s"
    sql = f"SELECT {_ROW} FROM post3_object o WHERE {_LATEST} AND o.key >= %s{bound} ORDER BY o.key LIMIT %s"
    parameters = [bucket_id, low, *([] if high is None else [high]), limit]
    return [_listed(row) for row in fetch(sql, parameters)]


@lru_cache(maxsize=8)
def _rolled_up_statement(vendor: str, bounded: bool) -> str:
    find, char = ("strpos", "chr") if vendor == "postgresql" else ("instr", "char")
    text = "CAST(%s AS text)"
    bound = " AND o.key < %s" if bounded else ""
    seek = f"SELECT o.key FROM post3_object o WHERE {_LATEST} AND o.key >= {{low}}{bound} ORDER BY o.key LIMIT 1"
    # place: where the delimiter begins in the key, 1-based; only behind the prefix counts (`skip` is its length).
    place = f"{find}(substr({{key}}, {{skip}} + 1), {text})"
    following = (
        f"CASE WHEN {place.format(key='walk.key', skip='walk.skip')} > 0 "
        f"THEN substr(walk.key, 1, walk.skip + {place.format(key='walk.key', skip='walk.skip')} - 1) || {text} "
        f"ELSE walk.key || {char}(1) END"
    )
    common = place.format(key="walk.key", skip="walk.skip")
    return (
        f"WITH RECURSIVE walk(key, n, skip) AS (SELECT ({seek.format(low=text)}), 1, CAST(%s AS integer) "
        f"UNION ALL SELECT ({seek.format(low=following)}), walk.n + 1, walk.skip FROM walk "
        "WHERE walk.key IS NOT NULL AND walk.n < CAST(%s AS integer)), "
        f"entry AS (SELECT walk.key, walk.n, walk.skip, {common} AS place FROM walk WHERE walk.key IS NOT NULL) "
        f"SELECT entry.key, entry.skip + entry.place, entry.place > 0, {_ROW} FROM entry "
        "LEFT JOIN post3_object o ON entry.place = 0 AND o.bucket_id = %s AND o.key = entry.key AND o.is_latest ORDER BY entry.n"
    )


def _list_rolled_up(
    bucket_id: int, prefix: str, delimiter: str, raised: str, low: str, high: str | None, limit: int
) -> list[ListedObject | CommonPrefix]:
    top = [] if high is None else [high]
    parameters = [
        *(bucket_id, low, *top, len(prefix)),
        *(bucket_id, delimiter, delimiter, raised, *top, limit),
        *(delimiter, bucket_id),
    ]
    entries: list[ListedObject | CommonPrefix] = []
    for key, end, rolled_up, *row in fetch(_rolled_up_statement(connection.vendor, high is not None), parameters):
        if rolled_up:
            entries.append(CommonPrefix(key[: end - 1 + len(delimiter)]))
        elif row[0] is not None:  # None: deleted between the walk and the join, on a database without snapshots
            entries.append(_listed(row))
    return entries


def _listed(row: Sequence[Any]) -> ListedObject:
    key, size, etag, last_modified, *others = row
    return ListedObject(key, size, etag, as_datetime(last_modified), *others)
