"""LIST on PostgreSQL: functions that read by the index of latest versions, whatever the planner believes of the table.

On a table that was never analysed, or whose statistics are older than a bucket, the planner expects a row or two of a
bucket and then rather reads the whole range and sorts it, once for each entry of a page: a hundred times as slow (D30).
A function can forbid that for its own statements, and for nobody else's.
"""

from typing import Any

from django.db import migrations

COLUMNS = ("key", "size", "etag", "last_modified", "storage_class", "owner_id", "checksum_algorithm", "checksum_type")
TABLE = ", ".join(f"{column} post3_object.{column}%TYPE" for column in COLUMNS)
SELECTED = ", ".join(f"o.{column}" for column in COLUMNS)
INTO = ", ".join(COLUMNS)
RANGE = "o.bucket_id = of_bucket AND o.is_latest AND NOT o.is_delete_marker AND o.key >= low AND o.key < high"
BY_INDEX = "SET enable_bitmapscan = off SET enable_sort = off SET enable_seqscan = off"

#: The first `page` objects from `low` up to and without `high`.
LIST_FLAT = f"""
CREATE OR REPLACE FUNCTION post3_list_flat(of_bucket bigint, low text, high text, page integer)
RETURNS TABLE ({TABLE}) LANGUAGE plpgsql STABLE {BY_INDEX} AS $$
BEGIN
    RETURN QUERY SELECT {SELECTED} FROM post3_object o WHERE {RANGE} ORDER BY o.key LIMIT page;
END $$
"""

#: The same, with keys that hold `delimiter` behind their first `skip` characters rolled up into one row each: the
#: common prefix as its key, and no size. The next key is sought from `raised` in the delimiter's place: past all it
#: stands for. A seek is 10 µs, ten times a row of a range; so behind a plain key a range is read, until a common prefix
#: ends it.
LIST_ROLLED_UP = f"""
CREATE OR REPLACE FUNCTION post3_list_rolled_up(
    of_bucket bigint, low text, high text, page integer, skip integer, delimiter text, raised text)
RETURNS TABLE ({TABLE}) LANGUAGE plpgsql STABLE {BY_INDEX} AS $$
DECLARE
    place integer;
    common text;
BEGIN
    WHILE page > 0 LOOP
        SELECT {SELECTED} INTO {INTO} FROM post3_object o WHERE {RANGE} ORDER BY o.key LIMIT 1;
        EXIT WHEN NOT FOUND;
        place := strpos(substr(key, skip + 1), delimiter);
        IF place = 0 THEN
            low := key;
            FOR {INTO} IN SELECT {SELECTED} FROM post3_object o WHERE {RANGE} ORDER BY o.key LIMIT page LOOP
                place := strpos(substr(key, skip + 1), delimiter);
                EXIT WHEN place > 0;
                page := page - 1;
                RETURN NEXT;
            END LOOP;
            EXIT WHEN place = 0;
        END IF;
        page := page - 1;
        common := substr(key, 1, skip + place - 1);
        low := common || raised;
        key := common || delimiter;
        size := NULL;
        RETURN NEXT;
    END LOOP;
END $$
"""


def install_functions(apps: Any, schema_editor: Any) -> None:
    """Install the functions; SQLite has none, and plans without statistics."""
    if schema_editor.connection.vendor == "postgresql":
        with schema_editor.connection.cursor() as cursor:
            cursor.execute("SET LOCAL client_min_messages = warning")  # `%TYPE` is told of each time
            for function in (LIST_FLAT, LIST_ROLLED_UP):
                cursor.execute(function)


class Migration(migrations.Migration):
    dependencies = [("post3", "0002_database_rules")]

    operations = [migrations.RunPython(install_functions, migrations.RunPython.noop, elidable=False)]
