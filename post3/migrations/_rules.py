"""What PostgreSQL's tables have besides what Django creates: cascades, an index with one more column, and settings.

Cleanup by SQL is also complete: `DELETE FROM post3_object …` deletes the rows that belong to the object, by
`ON DELETE CASCADE`, which Django 5.2 does not create. On SQLite, triggers do the same (`_triggers.py`).
"""

from typing import Any

#: Table -> the (table, column) pairs whose rows are deleted with its rows.
CASCADES = {
    "post3_bucket": (("post3_object", "bucket_id"), ("post3_multipartupload", "bucket_id")),
    "post3_object": (
        ("post3_objectmetadata", "object_id"),
        ("post3_objecttag", "object_id"),
        ("post3_objectpart", "object_id"),
    ),
    "post3_multipartupload": (("post3_uploadpart", "upload_id"),),
    "post3_blob": (("post3_block", "blob_id"),),
}
#: On PostgreSQL, keys are also deleted with their user. On SQLite, Django does this: the table of users is not post3's.
CASCADING_KEYS = (*(pair for children in CASCADES.values() for pair in children), ("post3_apikey", "user_id"))

FOREIGN_KEY = """
SELECT con.conname, pg_get_constraintdef(con.oid)
FROM pg_constraint con JOIN pg_attribute att ON att.attrelid = con.conrelid AND att.attnum = con.conkey[1]
WHERE con.contype = 'f' AND con.conrelid = %s::regclass AND att.attname = %s
"""

#: The index of the constraint `post3_object_latest`, with one more column. LIST finds a common prefix in it without
#: reading the object's row, once a vacuum has marked the row's page as all-visible. Among millions of rows, that row
#: would be one more uncached page for every prefix. On SQLite, an index cannot include other columns than its key.
LATEST = (
    "DROP INDEX post3_object_latest",
    "CREATE UNIQUE INDEX post3_object_latest ON post3_object (bucket_id, key) INCLUDE (is_delete_marker) WHERE is_latest",
)

#: (table, column) pairs with bytes of clients, which are not compressed: most are compressed already, and a range of an
#: uncompressed value is cheap to read. A value that does not fit into its row is moved to the TOAST table.
UNCOMPRESSED = (("post3_block", "data"), ("post3_object", "data"))

#: Settings of autovacuum for the tables that get new and dead rows with every overwrite. By default, it waits until a
#: fifth of a table is dead: 200 GB of a terabyte of blocks. Here it waits for a fiftieth, plus a small number of rows
#: that makes the work worthwhile. The bytes themselves are in the TOAST table of the blocks, about 500 rows per MiB,
#: which has separate settings. Vacuum may also do five times as much work on blocks before it sleeps. Otherwise it
#: would fall behind a server that writes at disk speed (200 cost points are 40 MB/s of dirtied pages).
SETTINGS = {
    "post3_block": {
        "autovacuum_vacuum_scale_factor": "0.02",
        "autovacuum_vacuum_threshold": "100",
        "autovacuum_vacuum_cost_limit": "1000",
        "toast.autovacuum_vacuum_scale_factor": "0.02",
        "toast.autovacuum_vacuum_threshold": "50000",
        "toast.autovacuum_vacuum_cost_limit": "1000",
    },
    "post3_blob": {
        "autovacuum_vacuum_scale_factor": "0.02",
        "autovacuum_vacuum_threshold": "1000",
        "autovacuum_analyze_scale_factor": "0.05",
    },
    "post3_object": {  # its TOAST table has the small bodies
        "autovacuum_vacuum_scale_factor": "0.02",
        "autovacuum_vacuum_threshold": "1000",
        "autovacuum_vacuum_cost_limit": "1000",
        "autovacuum_analyze_scale_factor": "0.05",
        "toast.autovacuum_vacuum_scale_factor": "0.02",
        "toast.autovacuum_vacuum_threshold": "5000",
        "toast.autovacuum_vacuum_cost_limit": "1000",
    },
}


def install_rules(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor != "postgresql":
        return
    for table, column in CASCADING_KEYS:
        _cascade(schema_editor, table, column)
    for statement in LATEST:
        schema_editor.execute(statement)
    for table, column in UNCOMPRESSED:
        schema_editor.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET STORAGE EXTERNAL")
    for table, settings in SETTINGS.items():
        listed = ", ".join(f"{name} = {value}" for name, value in settings.items())
        schema_editor.execute(f"ALTER TABLE {table} SET ({listed})")


def _cascade(schema_editor: Any, table: str, column: str) -> None:
    """Replace a foreign key by one that cascades."""
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(FOREIGN_KEY, [table, column])
        [(name, definition)] = cursor.fetchall()
    cascading = definition.replace(" DEFERRABLE", " ON DELETE CASCADE DEFERRABLE")
    schema_editor.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}", ADD CONSTRAINT "{name}" {cascading}')
