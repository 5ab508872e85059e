"""Read the whole schema of post3's tables: each property, in the database's own words.

Two schemas are equal if the databases behave the same. Only the order in which things were created is not compared.
"""

import re
from collections.abc import Iterator
from typing import Any

#: Kind of thing -> query. Each row is the name of a thing and its properties.
_POSTGRESQL = {
    "table": """
        SELECT c.relname, c.relkind, c.relpersistence, c.relrowsecurity, c.reloptions, toast.reloptions, am.amname,
            array(SELECT attname FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped ORDER BY attnum)
        FROM pg_class c LEFT JOIN pg_class toast ON toast.oid = c.reltoastrelid LEFT JOIN pg_am am ON am.oid = c.relam
        WHERE c.relname LIKE 'post3\\_%' AND c.relkind <> 'i'""",
    "column": """
        SELECT c.relname || '.' || a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity, a.attgenerated,
            pg_get_expr(d.adbin, d.adrelid), coll.collname, a.attstorage, a.attcompression, a.attoptions, a.attstattarget
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        LEFT JOIN pg_collation coll ON coll.oid = a.attcollation
        WHERE c.relname LIKE 'post3\\_%' AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped""",
    "constraint": """
        SELECT c.conrelid::regclass || '.' || c.conname, c.contype, pg_get_constraintdef(c.oid), c.convalidated
        FROM pg_constraint c WHERE c.conrelid::regclass::text LIKE 'post3\\_%'""",
    "index": """
        SELECT c.relname, pg_get_indexdef(c.oid), c.reloptions, i.indisvalid, i.indisclustered
        FROM pg_class c JOIN pg_index i ON i.indexrelid = c.oid WHERE c.relname LIKE 'post3\\_%'""",
    "trigger": """
        SELECT tgname, pg_get_triggerdef(oid), tgenabled
        FROM pg_trigger WHERE tgrelid::regclass::text LIKE 'post3\\_%' AND NOT tgisinternal""",
    "function": "SELECT proname, pg_get_functiondef(oid) FROM pg_proc WHERE proname LIKE 'post3\\_%'",
    "sequence": """
        SELECT c.relname, format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, s.seqcycle
        FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid WHERE c.relname LIKE 'post3\\_%'""",
}
_SQLITE = "SELECT type, name, sql FROM sqlite_master WHERE tbl_name LIKE 'post3\\_%' ESCAPE '\\' AND sql IS NOT NULL"

Schema = dict[str, tuple[Any, ...]]


def read_schema(connection: Any) -> Schema:
    """Return the properties of everything that belongs to post3's tables, by "kind name"."""
    found = _read_postgresql(connection) if connection.vendor == "postgresql" else _read_sqlite(connection)
    schema: Schema = {}
    for name, *properties in found:
        assert name not in schema, name
        schema[name] = tuple(properties)
    return schema


def _read_postgresql(connection: Any) -> Iterator[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        for kind, query in _POSTGRESQL.items():
            cursor.execute(query)
            for name, *properties in cursor.fetchall():
                yield (f"{kind} {name}", *(str(value) for value in properties))


def _read_sqlite(connection: Any) -> Iterator[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(_SQLITE)
        for kind, name, sql in cursor.fetchall():
            text = " ".join(sql.split())
            yield (f"{kind} {name}", *(_parts_of_table(text) if kind == "table" else [text]))


def _parts_of_table(sql: str) -> Iterator[str]:
    """Yield the columns of a CREATE TABLE statement in their order, then the constraints sorted, then the options."""
    found = re.fullmatch(r"[^(]*\((.*)\)(.*)", sql)
    assert found, sql
    parts = list(_split(found[1]))
    yield from (part for part in parts if part.startswith('"'))
    yield from sorted(part for part in parts if not part.startswith('"'))
    yield found[2]


def _split(body: str) -> Iterator[str]:
    """Split at the commas outside of parentheses and texts."""
    depth, is_text, start = 0, False, 0
    for place, character in enumerate(body):
        is_text ^= character == "'"
        depth += 0 if is_text else (character == "(") - (character == ")")
        if character == "," and not depth and not is_text:
            yield body[start:place].strip()
            start = place + 1
    yield body[start:].strip()
