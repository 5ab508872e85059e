"""Count the values of each column of a catalogue, so that a migration cannot lose one unnoticed."""

from typing import Any

from ..helpers import query
from ..servers import Server

#: Counted in addition to post3's tables.
DJANGO_TABLES = ("auth_user", "django_session")

_LISTED = {
    "sqlite": "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c WHERE m.type = 'table'",
    "postgresql": "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema()",
}
#: What counts as a value: anything except null, an empty string, zero and false.
_FILLED = {
    "sqlite": """count(*) FILTER (WHERE "{0}" <> '' AND "{0}" <> 0)""",
    "postgresql": """count(*) FILTER (WHERE "{0}"::text NOT IN ('', '0', 'false'))""",
}
_DIFFERENT = {"sqlite": 'count(DISTINCT "{0}")', "postgresql": 'count(DISTINCT "{0}"::text)'}


def count_columns(server: Server) -> dict[str, dict[str, Any]]:
    """Return, by table, the number of rows and, by column, the numbers of values and of distinct values."""
    vendor = vendor_of(server)
    columns: dict[str, list[str]] = {}
    for table, column in query(server, _LISTED[vendor]):
        if table.startswith("post3_") or table in DJANGO_TABLES:
            columns.setdefault(table, []).append(column)
    counted = {}
    for table, names in sorted(columns.items()):
        sums = [count for name in sorted(names) for count in (_FILLED[vendor].format(name), _DIFFERENT[vendor].format(name))]
        rows, *found = query(server, f'SELECT count(*), {", ".join(sums)} FROM "{table}"')[0]
        pairs = zip(found[::2], found[1::2], strict=True)
        counted[table] = {"rows": rows, "columns": dict(zip(sorted(names), map(list, pairs), strict=True))}
    return counted


def vendor_of(server: Server) -> str:
    return "postgresql" if server.environment.get("DATABASE_URL") else "sqlite"
