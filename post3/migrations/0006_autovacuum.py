"""Settings of PostgreSQL's autovacuum for the tables that get new and dead rows with every overwrite.

By default, autovacuum waits until a fifth of a table is dead: 200 GB of a terabyte of blocks. Here it waits for a
fiftieth, plus a small number of rows that makes the work worthwhile. The bytes themselves are in the TOAST table of the
blocks, about 500 rows per MiB, which has separate settings. Vacuum may also do five times as much work on blocks before
it sleeps. Otherwise it would fall behind a server that writes at disk speed (200 cost points are 40 MB/s of dirtied
pages).
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
