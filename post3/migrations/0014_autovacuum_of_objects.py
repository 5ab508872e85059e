"""Settings of autovacuum for the table of objects, whose rows contain small bodies since migration 0013.

With each overwrite, a row dies, and in the TOAST table the rows with the bytes, two for a body of 4 KiB. Only
autovacuum makes their space usable again. The settings are those of blocks and blobs (migration 0006).
"""

from typing import Any

from django.db import migrations

TABLE = "post3_object"
SETTINGS = {
    "autovacuum_vacuum_scale_factor": "0.02",
    "autovacuum_vacuum_threshold": "1000",
    "autovacuum_vacuum_cost_limit": "1000",
    "autovacuum_analyze_scale_factor": "0.05",
    "toast.autovacuum_vacuum_scale_factor": "0.02",
    "toast.autovacuum_vacuum_threshold": "5000",
    "toast.autovacuum_vacuum_cost_limit": "1000",
}


def set_up(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        listed = ", ".join(f"{name} = {value}" for name, value in SETTINGS.items())
        schema_editor.execute(f"ALTER TABLE {TABLE} SET ({listed})")


def take_back(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"ALTER TABLE {TABLE} RESET ({', '.join(SETTINGS)})")


class Migration(migrations.Migration):
    dependencies = [("post3", "0013_bytes_in_rows")]

    operations = [migrations.RunPython(set_up, take_back, elidable=False)]
