"""Metadata in the object's row, and overwrites that write to no index.

Previously, a read took metadata from a separate table, and an overwrite had to clean up there. Now the row contains the
metadata as JSON. The table remains for searches, and triggers keep it up to date. Triggers see the changes that other
transactions have committed. The parts of one overwriting statement did not, so two concurrent overwrites could leave
metadata of both.

`revision` replaces `sequence` as the sign that an object was written. `sequence` only orders versions, so an overwrite
changes no indexed column. Two indexes make the id of a version unique. They contain no entry for a bucket without
versions.
"""

from importlib import import_module
from typing import Any

from django.db import migrations, models

#: Called before a version is added. Deletes the version with the same id (only "null" can occur twice), and clears
#: `is_latest` of the latest version. The loop handles versions that others have added in the meantime, because each
#: statement in a function has a new snapshot.
MAKE_WAY = """
CREATE OR REPLACE FUNCTION post3_make_way(
    of_bucket bigint, of_key text, of_version text, OUT sequence bigint, OUT revision bigint, OUT old_sidecar text)
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    retired record;
BEGIN
    DELETE FROM post3_object o WHERE o.bucket_id = of_bucket AND o.key = of_key AND o.version_id = of_version
    RETURNING o.sequence, o.revision, o.sidecar INTO sequence, revision, old_sidecar;
    LOOP
        UPDATE post3_object o SET is_latest = false WHERE o.bucket_id = of_bucket AND o.key = of_key AND o.is_latest
        RETURNING o.sequence, o.revision INTO retired;
        IF FOUND THEN
            sequence := greatest(sequence, retired.sequence);
            revision := greatest(revision, retired.revision);
            EXIT;
        END IF;
        PERFORM FROM post3_object o WHERE o.bucket_id = of_bucket AND o.key = of_key AND o.is_latest;
        EXIT WHEN NOT FOUND;
    END LOOP;
    sequence := coalesce(sequence, 0);
    revision := coalesce(revision, 0);
END $$
"""

KEEP_METADATA = """
CREATE OR REPLACE FUNCTION post3_keep_metadata() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        DELETE FROM post3_objectmetadata WHERE object_id = NEW.id;
    END IF;
    INSERT INTO post3_objectmetadata (object_id, name, value) SELECT NEW.id, key, value FROM jsonb_each_text(NEW.metadata);
    RETURN NULL;
END $$
"""

REMOVE_PARTS = """
CREATE OR REPLACE FUNCTION post3_remove_parts() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM post3_objectpart WHERE object_id = NEW.id;
    RETURN NULL;
END $$
"""

TRIGGERS_ON_POSTGRESQL = (
    ("post3_object_metadata_on_insert", "INSERT", "NEW.metadata <> '{}'::jsonb", "post3_keep_metadata"),
    ("post3_object_metadata_on_update", "UPDATE OF metadata", "NEW.metadata <> OLD.metadata", "post3_keep_metadata"),
    ("post3_object_parts_on_update", "UPDATE", "OLD.parts_count > 0 AND NEW.revision <> OLD.revision", "post3_remove_parts"),
)

_INSERT = "INSERT INTO post3_objectmetadata (object_id, name, value) SELECT NEW.id, key, value FROM json_each(NEW.metadata);"
_DELETE = "DELETE FROM {} WHERE object_id = NEW.id;"
TRIGGERS_ON_SQLITE = (
    ("post3_object_metadata_on_insert", "INSERT", "NEW.metadata <> '{}'", _INSERT),
    (
        "post3_object_metadata_on_update",
        "UPDATE OF metadata",
        "NEW.metadata <> OLD.metadata",
        _DELETE.format("post3_objectmetadata") + " " + _INSERT,
    ),
    (
        "post3_object_parts_on_update",
        "UPDATE",
        "OLD.parts_count > 0 AND NEW.revision <> OLD.revision",
        _DELETE.format("post3_objectpart"),
    ),
)

#: Table -> the table with its metadata, and the column there that refers to it.
METADATA = {
    "post3_object": ("post3_objectmetadata", "object_id"),
    "post3_multipartupload": ("post3_multipartuploadmetadata", "upload_id"),
}
AGGREGATE = {"postgresql": "jsonb_object_agg", "sqlite": "json_group_object"}


def drop_triggers(apps: Any, schema_editor: Any) -> None:
    """Drop all triggers on SQLite, which cannot recreate a table that a trigger of another table mentions."""
    if schema_editor.connection.vendor == "sqlite":
        with schema_editor.connection.cursor() as cursor:
            cursor.execute("SELECT name FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'post3\\_%' ESCAPE '\\'")
            for (name,) in cursor.fetchall():
                schema_editor.execute(f"DROP TRIGGER {name}")


def move_metadata(apps: Any, schema_editor: Any) -> None:
    vendor = schema_editor.connection.vendor
    if vendor == "postgresql":  # it cannot alter a table with pending deferred constraint checks
        schema_editor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    aggregate = AGGREGATE[vendor]
    for table, (rows, column) in METADATA.items():
        schema_editor.execute(
            f"UPDATE {table} SET metadata = (SELECT {aggregate}(m.name, m.value) FROM {rows} m WHERE m.{column} = {table}.id) "
            f"WHERE id IN (SELECT {column} FROM {rows})"
        )
    schema_editor.execute("UPDATE post3_object SET revision = sequence WHERE sequence <> 1")


def install_triggers(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        for function in (KEEP_METADATA, REMOVE_PARTS):
            schema_editor.execute(function)
        for name, event, condition, function in TRIGGERS_ON_POSTGRESQL:
            schema_editor.execute(
                f"CREATE OR REPLACE TRIGGER {name} AFTER {event} ON post3_object FOR EACH ROW WHEN ({condition}) "
                f"EXECUTE FUNCTION {function}()"
            )
        schema_editor.execute(MAKE_WAY)
        return
    for name, event, condition, body in TRIGGERS_ON_SQLITE:
        schema_editor.execute(
            f"CREATE TRIGGER IF NOT EXISTS {name} AFTER {event} ON post3_object FOR EACH ROW WHEN {condition} BEGIN {body} END"
        )
    rules = import_module("post3.migrations.0002_database_rules")
    cascades = {
        parent: tuple(child for child in children if child[0] != "post3_multipartuploadmetadata")
        for parent, children in rules.CASCADES.items()
    }
    rules.install_on_sqlite(schema_editor, cascades)
    for statement in import_module("post3.migrations.0011_bucket_settings").ON_SQLITE:
        schema_editor.execute(statement)


def rows_of(related_name: str, to: str) -> models.ForeignKey:
    return models.ForeignKey(db_index=False, on_delete=models.CASCADE, related_name=related_name, to=to)


def metadata() -> models.JSONField:
    return models.JSONField(blank=True, db_default={}, default=dict)


class Migration(migrations.Migration):
    dependencies = [("post3", "0011_bucket_settings")]

    operations = [
        migrations.RunPython(drop_triggers, migrations.RunPython.noop, elidable=False),
        migrations.AlterField("objectmetadata", "object", rows_of("metadata_rows", "post3.object")),
        migrations.AlterField("multipartuploadmetadata", "upload", rows_of("metadata_rows", "post3.multipartupload")),
        migrations.AddField("object", "metadata", metadata()),
        migrations.AddField("multipartupload", "metadata", metadata()),
        migrations.AddField("object", "revision", models.BigIntegerField(db_default=1, default=1)),
        migrations.RenameField("multipartupload", "key_sequence", "key_revision"),
        migrations.RunPython(move_metadata, migrations.RunPython.noop, elidable=False),
        migrations.DeleteModel("MultipartUploadMetadata"),
        migrations.RemoveConstraint("object", "post3_object_version"),
        migrations.AddConstraint(
            "object",
            models.UniqueConstraint(
                condition=~models.Q(version_id="null"), fields=["version_id"], name="post3_object_version_id"
            ),
        ),
        migrations.AddConstraint(
            "object",
            models.UniqueConstraint(
                condition=models.Q(version_id="null", is_latest=False),
                fields=["bucket", "key"],
                name="post3_object_earlier_null",
            ),
        ),
        migrations.RunPython(install_triggers, migrations.RunPython.noop, elidable=False),
    ]
