"""LIST on PostgreSQL: functions that use the index of latest versions, whatever the planner estimates.

If a table was never analyzed, or its statistics are older than a bucket, the planner expects one or two rows in the
bucket. It then prefers to read and sort the whole range, once for each entry of a page, which is a hundred times slower
(D30). A function can forbid that for its own statements without affecting others.
"""

from typing import Any

from django.db import migrations

COLUMNS = ("key", "size", "etag", "last_modified", "storage_class", "owner_id", "checksum_algorithm", "checksum_type")
TABLE = ", ".join(f"{column} post3_object.{column}%TYPE" for column in COLUMNS)
SELECTED = ", ".join(f"o.{column}" for column in COLUMNS)
INTO = ", ".join(COLUMNS)
RANGE = "o.bucket_id = of_bucket AND o.is_latest AND NOT o.is_delete_marker AND o.key >= low AND o.key < high"
BY_INDEX = "SET enable_bitmapscan = off SET enable_sort = off SET enable_seqscan = off"

#: Returns the first `page` objects from `low` (included) to `high` (excluded).
LIST_FLAT = f"""
CREATE OR REPLACE FUNCTION post3_list_flat(of_bucket bigint, low text, high text, page integer)
RETURNS TABLE ({TABLE}) LANGUAGE plpgsql STABLE {BY_INDEX} AS $$
BEGIN
    RETURN QUERY SELECT {SELECTED} FROM post3_object o WHERE {RANGE} ORDER BY o.key LIMIT page;
END $$
"""

#: The same, except that keys with `delimiter` after their first `skip` characters are rolled up. Each common prefix is
#: one row, with the prefix as its key and no size. The next seek starts at the prefix with `raised` in place of the
#: delimiter, which is greater than all keys that were rolled up. A seek takes 10 µs, ten times as long as a row of a
#: range. After a plain key, a range is therefore read until a common prefix ends it.
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
    """Install the functions on PostgreSQL. SQLite has no functions, and its planner needs no statistics."""
    if schema_editor.connection.vendor == "postgresql":
        with schema_editor.connection.cursor() as cursor:
            cursor.execute("SET LOCAL client_min_messages = warning")  # each `%TYPE` causes a notice
            for function in (LIST_FLAT, LIST_ROLLED_UP):
                cursor.execute(function)


class Migration(migrations.Migration):
    dependencies = [("post3", "0002_database_rules")]

    operations = [migrations.RunPython(install_functions, migrations.RunPython.noop, elidable=False)]
