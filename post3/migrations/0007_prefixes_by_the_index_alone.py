"""LIST with a delimiter on PostgreSQL: find common prefixes by index-only scans.

A seek by the function of migration 0003 also read the row of the index entry, only to roll it up into its prefix. Among
millions of rows, this was one more uncached page for every prefix. Now the index of latest versions also contains
`is_delete_marker`, so a seek reads no row once a vacuum has marked its page as all-visible.
"""

from typing import Any

from django.db import migrations

COLUMNS = ("key", "size", "etag", "last_modified", "storage_class", "owner_id", "checksum_algorithm", "checksum_type")
TABLE = ", ".join(f"{column} post3_object.{column}%TYPE" for column in COLUMNS)
SELECTED = ", ".join(f"o.{column}" for column in COLUMNS)
INTO = ", ".join(COLUMNS)
RANGE = "o.bucket_id = of_bucket AND o.is_latest AND NOT o.is_delete_marker AND o.key >= low AND o.key < high"
BY_INDEX = "SET enable_bitmapscan = off SET enable_sort = off SET enable_seqscan = off"

#: The index of the constraint `post3_object_latest`. On SQLite, an index cannot include other columns than its key.
LATEST = "CREATE UNIQUE INDEX post3_object_latest ON post3_object (bucket_id, key){} WHERE is_latest"
MARKED = LATEST.format(" INCLUDE (is_delete_marker)")

#: As in migration 0003, except for the first statement of the loop.
LIST_ROLLED_UP = f"""
CREATE OR REPLACE FUNCTION post3_list_rolled_up(
    of_bucket bigint, low text, high text, page integer, skip integer, delimiter text, raised text)
RETURNS TABLE ({TABLE}) LANGUAGE plpgsql STABLE {BY_INDEX} AS $$
DECLARE
    place integer;
    common text;
BEGIN
    WHILE page > 0 LOOP
        SELECT o.key INTO key FROM post3_object o WHERE {RANGE} ORDER BY o.key LIMIT 1;
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


def use_the_index_alone(apps: Any, schema_editor: Any) -> None:
    _replace(schema_editor, MARKED, LIST_ROLLED_UP)


def use_the_rows(apps: Any, schema_editor: Any) -> None:
    """Restore the index. The function stays, because it returns the same results by reading rows."""
    _replace(schema_editor, LATEST.format(""))


def _replace(schema_editor: Any, *statements: str) -> None:
    if schema_editor.connection.vendor == "postgresql":
        with schema_editor.connection.cursor() as cursor:
            cursor.execute("SET LOCAL client_min_messages = warning")  # each `%TYPE` causes a notice
            for statement in ("DROP INDEX post3_object_latest", *statements):
                cursor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("post3", "0006_autovacuum")]

    operations = [migrations.RunPython(use_the_index_alone, use_the_rows, elidable=False)]
