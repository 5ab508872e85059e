"""Small bodies in the object's own row, for storages that keep bytes in the catalogue's database.

A small body took a row of a blob and a row of a block besides the object's. On PostgreSQL, a value that does not fit is
moved to the TOAST table; it is not compressed, because clients mostly send compressed data.
"""

from typing import Any

from django.db import migrations, models


def set_storage(apps: Any, schema_editor: Any) -> None:
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("ALTER TABLE post3_object ALTER COLUMN data SET STORAGE EXTERNAL")


class Migration(migrations.Migration):
    dependencies = [("post3", "0012_metadata_and_revisions")]

    operations = [
        migrations.AddField("object", "data", models.BinaryField(null=True)),
        migrations.AddField("object", "crc64nvme", models.CharField(blank=True, max_length=12, null=True)),
        migrations.RunPython(set_storage, migrations.RunPython.noop, elidable=False),
    ]
