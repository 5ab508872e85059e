"""When PostgreSQL's autovacuum looks at the tables whose rows come and go with every overwrite.

By default it waits until a fifth of a table is dead: of a terabyte of blocks, 200 GB. Here a fiftieth, and some small
number of rows that is worth the work. The bytes themselves are in the TOAST table of the blocks, half a thousand rows a
MiB, which has settings of its own; its vacuum may also do five times as much before it naps, or it would fall behind a
server that writes at a disk's speed (200 cost points are 40 MB/s of dirtied pages).
"""

from typing import Any

from django.db import migrations

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
}


def set_up(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        for table, settings in SETTINGS.items():
            listed = ", ".join(f"{name} = {value}" for name, value in settings.items())
            schema_editor.execute(f"ALTER TABLE {table} SET ({listed})")


def take_back(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        for table, settings in SETTINGS.items():
            schema_editor.execute(f"ALTER TABLE {table} RESET ({', '.join(settings)})")


class Migration(migrations.Migration):
    dependencies = [("post3", "0005_damaged_blobs")]

    operations = [migrations.RunPython(set_up, take_back, elidable=False)]
