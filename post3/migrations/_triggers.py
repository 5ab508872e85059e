"""The triggers of both databases, and their functions on PostgreSQL.

- When a reference to a blob is removed, in whatever way, the blob is marked as released for the worker (D2).
- A change of a bucket increases the version of its settings, from whatever client it comes (D93).
- `ObjectMetadata` is kept equal to the objects' column `metadata`, and an overwrite removes the parts of the object
  (D95). Triggers see the changes that other transactions have committed. The parts of one overwriting statement would
  not, so two concurrent overwrites could leave metadata of both.
- On SQLite, rows are deleted with the row that they belong to (D3).

SQLite drops the triggers of a table that a migration recreates, and cannot recreate a table that a trigger of another
table mentions. Such a migration must drop all triggers first, and install them in their current form at its end.
`tests/models/test_database_rules.py` checks that none is missing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ._functions import LOCK
from ._rules import CASCADES

#: Tables whose rows refer to a blob.
REFERRERS = ("post3_object", "post3_objectpart", "post3_uploadpart")

RELEASE_BLOB = """
CREATE OR REPLACE FUNCTION post3_release_blob() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' OR NEW.blob_id IS DISTINCT FROM OLD.blob_id THEN
        UPDATE post3_blob SET released_at = clock_timestamp() WHERE id = OLD.blob_id;
    END IF;
    RETURN NULL;
END $$
"""

#: The version would increase without the clock, which makes versions differ if a restored backup takes another course.
CHANGE_BUCKET = f"""
CREATE OR REPLACE FUNCTION post3_change_bucket() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock({LOCK} + OLD.id);
    NEW.config_version := greatest(OLD.config_version + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint);
    RETURN NEW;
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

FUNCTIONS = {
    "post3_release_blob": RELEASE_BLOB,
    "post3_change_bucket": CHANGE_BUCKET,
    "post3_keep_metadata": KEEP_METADATA,
    "post3_remove_parts": REMOVE_PARTS,
}


@dataclass(frozen=True)
class Trigger:
    """A trigger for each row. `action` is the name of a function on PostgreSQL, and statements on SQLite."""

    name: str
    event: str
    action: str
    condition: str = ""

    def on_postgresql(self) -> str:
        condition = f"WHEN ({self.condition}) " if self.condition else ""
        return f"CREATE OR REPLACE TRIGGER {self.name} {self.event} FOR EACH ROW {condition}EXECUTE FUNCTION {self.action}()"

    def on_sqlite(self) -> str:
        condition = f"WHEN {self.condition} " if self.condition else ""
        return f"CREATE TRIGGER IF NOT EXISTS {self.name} {self.event} FOR EACH ROW {condition}BEGIN {self.action} END"


def _releases(update: tuple[str, str], delete: tuple[str, str]) -> Iterator[Trigger]:
    """Yield the triggers that release blobs, with these actions and conditions."""
    for table in REFERRERS:
        yield Trigger(f"{table}_release_on_update", f"AFTER UPDATE OF blob_id ON {table}", *update)
        yield Trigger(f"{table}_release_on_delete", f"AFTER DELETE ON {table}", *delete)


_REFERRED = "OLD.blob_id IS NOT NULL"
_PARTS_OVERWRITTEN = "OLD.parts_count > 0 AND NEW.revision <> OLD.revision"
_METADATA_CHANGED = "NEW.metadata <> OLD.metadata"

ON_POSTGRESQL = (
    *_releases(("post3_release_blob", _REFERRED), ("post3_release_blob", _REFERRED)),
    Trigger("post3_bucket_change", "BEFORE UPDATE ON post3_bucket", "post3_change_bucket"),
    Trigger(
        "post3_object_metadata_on_insert", "AFTER INSERT ON post3_object", "post3_keep_metadata", "NEW.metadata <> '{}'::jsonb"
    ),
    Trigger(
        "post3_object_metadata_on_update", "AFTER UPDATE OF metadata ON post3_object", "post3_keep_metadata", _METADATA_CHANGED
    ),
    Trigger("post3_object_parts_on_update", "AFTER UPDATE ON post3_object", "post3_remove_parts", _PARTS_OVERWRITTEN),
)

_RELEASE = "UPDATE post3_blob SET released_at = strftime('%Y-%m-%d %H:%M:%f', 'now') WHERE id = OLD.blob_id;"
_CHANGE = (
    "UPDATE post3_bucket SET config_version = "
    "max(OLD.config_version + 1, CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)) WHERE id = OLD.id;"
)
_INSERT = "INSERT INTO post3_objectmetadata (object_id, name, value) SELECT NEW.id, key, value FROM json_each(NEW.metadata);"
_DELETE = "DELETE FROM {} WHERE object_id = NEW.id;"

ON_SQLITE = (
    *_releases((_RELEASE, f"{_REFERRED} AND NEW.blob_id IS NOT OLD.blob_id"), (_RELEASE, _REFERRED)),
    Trigger("post3_bucket_change", "AFTER UPDATE ON post3_bucket", _CHANGE, "NEW.config_version <= OLD.config_version"),
    Trigger("post3_object_metadata_on_insert", "AFTER INSERT ON post3_object", _INSERT, "NEW.metadata <> '{}'"),
    Trigger(
        "post3_object_metadata_on_update",
        "AFTER UPDATE OF metadata ON post3_object",
        f"{_DELETE.format('post3_objectmetadata')} {_INSERT}",
        _METADATA_CHANGED,
    ),
    Trigger(
        "post3_object_parts_on_update", "AFTER UPDATE ON post3_object", _DELETE.format("post3_objectpart"), _PARTS_OVERWRITTEN
    ),
    *(
        Trigger(
            f"{parent}_cascade",
            f"BEFORE DELETE ON {parent}",
            " ".join(f"DELETE FROM {child} WHERE {column} = OLD.id;" for child, column in children),
        )
        for parent, children in CASCADES.items()
    ),
)


def install_triggers(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        statements = [*FUNCTIONS.values(), *(trigger.on_postgresql() for trigger in ON_POSTGRESQL)]
    else:
        statements = [trigger.on_sqlite() for trigger in ON_SQLITE]
    for statement in statements:
        schema_editor.execute(statement, None)


def drop_triggers(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"DROP FUNCTION {', '.join(FUNCTIONS)} CASCADE")  # with the triggers that call them
        return
    for trigger in ON_SQLITE:
        schema_editor.execute(f"DROP TRIGGER {trigger.name}")
