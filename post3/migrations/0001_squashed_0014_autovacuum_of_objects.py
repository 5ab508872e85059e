"""The whole catalogue: its tables, then what Django's models cannot express.

It replaces the first fourteen migrations. A store that has only some of them gets the others, and not this one. Both
ways result in the same schema (`tests/upgrades/test_squashed.py`, D97).

The modules beside it whose names begin with an underscore belong to it, and change as little as a migration does. A
later migration that replaces a function or a trigger contains the new one.
"""

from typing import Any

from django.conf import settings
from django.db import migrations

from post3.models.accounts import new_account_id

from ._functions import drop_functions, install_functions
from ._rules import install_rules
from ._tables import TABLES
from ._triggers import drop_triggers, install_triggers

REPLACED = (
    "0001_initial",
    "0002_database_rules",
    "0003_list_functions",
    "0004_integrity",
    "0005_damaged_blobs",
    "0006_autovacuum",
    "0007_prefixes_by_the_index_alone",
    "0008_accounts",
    "0009_upload_key_sequence",
    "0010_console",
    "0011_bucket_settings",
    "0012_metadata_and_revisions",
    "0013_bytes_in_rows",
    "0014_autovacuum_of_objects",
)


def create_first_account(apps: Any, schema_editor: Any) -> None:
    """Choose the id of the first account, which never changes."""
    accounts = apps.get_model("post3", "Account").objects.using(schema_editor.connection.alias)
    accounts.create(account_id=new_account_id())


def create_indexes_and_keys(apps: Any, schema_editor: Any) -> None:
    """Create the indexes and foreign keys, which Django defers to the end of a migration. The rules change some."""
    for statement in schema_editor.deferred_sql:
        schema_editor.execute(statement, None)
    schema_editor.deferred_sql.clear()


class Migration(migrations.Migration):
    initial = True
    replaces = [("post3", name) for name in REPLACED]
    dependencies = [migrations.swappable_dependency(settings.AUTH_USER_MODEL)]

    operations = [
        *TABLES,
        migrations.RunPython(create_first_account, migrations.RunPython.noop, elidable=False),
        migrations.RunPython(create_indexes_and_keys, migrations.RunPython.noop, elidable=False),
        migrations.RunPython(install_rules, migrations.RunPython.noop, elidable=False),
        migrations.RunPython(install_functions, drop_functions, elidable=False),
        migrations.RunPython(install_triggers, drop_triggers, elidable=False),
    ]
