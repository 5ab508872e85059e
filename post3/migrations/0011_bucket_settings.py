"""Versioning of buckets, and the version of a bucket's settings.

Every process caches the settings of buckets. A statement that depends on them contains their version, and does nothing
if the row has another version. A trigger increases the version with every change of the row, from any client.

A write must not overwrite an object that was written after a settings change that the write has not seen. On
PostgreSQL, it could, because a statement that waits for a lock keeps its old snapshot. Writes therefore enter the
bucket first, with a function that takes a shared lock and then compares the version in a new snapshot. The trigger
takes the lock exclusively, so a change waits for writes in flight, and later writes wait for the change. The lock is an
advisory lock because these are granted in order. A steady stream of shared locks on the row itself would block a change
indefinitely.
"""

from importlib import import_module
from typing import Any

from django.db import migrations, models

import post3.models.buckets

#: The advisory lock of a bucket is this number plus the bucket's id. The digits spell "post3" on a telephone keypad.
LOCK = 76783_000_000_000_000

ENTER = f"""
CREATE OR REPLACE FUNCTION post3_enter_bucket(of_bucket bigint, of_config bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared({LOCK} + of_bucket);
    RETURN (SELECT id FROM post3_bucket WHERE id = of_bucket AND config_version = of_config);
END $$
"""

#: The version would increase without the clock, which makes versions differ if a restored backup takes another course.
CHANGE = f"""
CREATE OR REPLACE FUNCTION post3_change_bucket() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock({LOCK} + OLD.id);
    NEW.config_version := greatest(OLD.config_version + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint);
    RETURN NEW;
END $$
"""

ON_POSTGRESQL = (
    ENTER,
    CHANGE,
    "CREATE OR REPLACE TRIGGER post3_bucket_change BEFORE UPDATE ON post3_bucket "
    "FOR EACH ROW EXECUTE FUNCTION post3_change_bucket()",
)

ON_SQLITE = (
    "CREATE TRIGGER IF NOT EXISTS post3_bucket_change AFTER UPDATE ON post3_bucket FOR EACH ROW "
    "WHEN NEW.config_version <= OLD.config_version BEGIN UPDATE post3_bucket SET config_version = "
    "max(OLD.config_version + 1, CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)) WHERE id = OLD.id; END",
)


def install(apps: Any, schema_editor: Any) -> None:
    vendor = schema_editor.connection.vendor
    for statement in ON_POSTGRESQL if vendor == "postgresql" else ON_SQLITE:
        schema_editor.execute(statement)
    if vendor == "sqlite":  # the table was recreated without its triggers
        import_module("post3.migrations.0002_database_rules").install_rules(apps, schema_editor)


class Migration(migrations.Migration):
    dependencies = [("post3", "0010_console")]

    operations = [
        migrations.AddField(
            model_name="bucket",
            name="config_version",
            field=models.BigIntegerField(db_default=1, default=post3.models.buckets.new_config_version, editable=False),
        ),
        migrations.AddField(
            model_name="bucket",
            name="versioning",
            field=models.CharField(
                blank=True,
                choices=[("", "never enabled"), ("Enabled", "enabled"), ("Suspended", "suspended")],
                db_default="",
                default="",
                max_length=9,
            ),
        ),
        migrations.RunPython(install, migrations.RunPython.noop, elidable=False),
    ]
