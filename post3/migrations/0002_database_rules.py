"""Rules that Django's models cannot express: cascades in the database, release of blobs, storage of the block column.

Cleanup by SQL is also complete. `DELETE FROM post3_object …` deletes the rows that belong to the object (PostgreSQL:
`ON DELETE CASCADE`, which Django 5.2 does not create; SQLite: triggers). When a reference to a blob is removed, in
whatever way, the blob is marked as released for the worker.

SQLite drops a table's triggers when a later migration recreates the table, so such a migration must run
`RunPython(install_rules)` again at its end. `tests/models/test_database_rules.py` checks this.
"""

from typing import Any

from django.db import migrations

#: Tables whose rows refer to a blob.
REFERRERS = ("post3_object", "post3_objectpart", "post3_uploadpart")

#: Table -> the (table, column) pairs whose rows are deleted with its rows. The same foreign keys cascade on PostgreSQL.
CASCADES = {
    "post3_bucket": (("post3_object", "bucket_id"), ("post3_multipartupload", "bucket_id")),
    "post3_object": (
        ("post3_objectmetadata", "object_id"),
        ("post3_objecttag", "object_id"),
        ("post3_objectpart", "object_id"),
    ),
    "post3_multipartupload": (("post3_multipartuploadmetadata", "upload_id"), ("post3_uploadpart", "upload_id")),
    "post3_blob": (("post3_block", "blob_id"),),
}

CASCADING_KEYS = """
SELECT con.conrelid::regclass::text, con.conname, att.attname, con.confrelid::regclass::text, fatt.attname
FROM pg_constraint con
JOIN pg_attribute att ON att.attrelid = con.conrelid AND att.attnum = con.conkey[1]
JOIN pg_attribute fatt ON fatt.attrelid = con.confrelid AND fatt.attnum = con.confkey[1]
WHERE con.contype = 'f' AND con.connamespace = current_schema()::regnamespace AND con.confdeltype = 'a'
"""

RELEASE_FUNCTION = """
CREATE OR REPLACE FUNCTION post3_release_blob() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR NEW.blob_id IS DISTINCT FROM OLD.blob_id THEN
        UPDATE post3_blob SET released_at = clock_timestamp() WHERE id = OLD.blob_id;
    END IF;
    RETURN NULL;
END $$
"""


def install_rules(apps: Any, schema_editor: Any) -> None:
    """Install the rules. Does nothing if they are already installed."""
    if schema_editor.connection.vendor == "postgresql":
        _install_on_postgresql(schema_editor)
    else:
        install_on_sqlite(schema_editor, CASCADES)


def _install_on_postgresql(schema_editor: Any) -> None:
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(CASCADING_KEYS)
        keys = cursor.fetchall()
    wanted = {pair for children in CASCADES.values() for pair in children} | {("post3_apikey", "user_id")}
    for table, constraint, column, target, target_column in keys:
        if (table, column) in wanted:
            schema_editor.execute(
                f'ALTER TABLE {table} DROP CONSTRAINT "{constraint}", ADD CONSTRAINT "{constraint}" FOREIGN KEY ({column}) '
                f"REFERENCES {target} ({target_column}) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED"
            )
    # Most data from clients is compressed already, and a range of an uncompressed value is cheap to read.
    schema_editor.execute("ALTER TABLE post3_block ALTER COLUMN data SET STORAGE EXTERNAL")
    schema_editor.execute(RELEASE_FUNCTION)
    for table in REFERRERS:
        for event, when in (("UPDATE OF blob_id", "update"), ("DELETE", "delete")):
            schema_editor.execute(
                f"CREATE OR REPLACE TRIGGER {table}_release_on_{when} AFTER {event} ON {table} "
                "FOR EACH ROW WHEN (OLD.blob_id IS NOT NULL) EXECUTE FUNCTION post3_release_blob()"
            )


def install_on_sqlite(schema_editor: Any, cascades: dict[str, tuple[tuple[str, str], ...]]) -> None:
    for table in REFERRERS:
        for event, when in (("UPDATE OF blob_id", "update"), ("DELETE", "delete")):
            changed = " AND NEW.blob_id IS NOT OLD.blob_id" if when == "update" else ""
            schema_editor.execute(
                f"CREATE TRIGGER IF NOT EXISTS {table}_release_on_{when} AFTER {event} ON {table} "
                f"FOR EACH ROW WHEN OLD.blob_id IS NOT NULL{changed} "
                "BEGIN UPDATE post3_blob SET released_at = strftime('%Y-%m-%d %H:%M:%f', 'now') WHERE id = OLD.blob_id; END"
            )
    for parent, children in cascades.items():
        deletes = " ".join(f"DELETE FROM {child} WHERE {column} = OLD.id;" for child, column in children)
        schema_editor.execute(
            f"CREATE TRIGGER IF NOT EXISTS {parent}_cascade BEFORE DELETE ON {parent} FOR EACH ROW BEGIN {deletes} END"
        )


class Migration(migrations.Migration):
    dependencies = [("post3", "0001_initial")]

    operations = [migrations.RunPython(install_rules, migrations.RunPython.noop, elidable=False)]
