"""Accounts, and the first account, whose id is chosen here and never changes."""

from typing import Any

from django.db import migrations, models

import post3.models.accounts


def make_first(apps: Any, schema_editor: Any) -> None:
    accounts = apps.get_model("post3", "Account").objects.using(schema_editor.connection.alias)
    accounts.create(account_id=post3.models.accounts.new_account_id())


class Migration(migrations.Migration):
    dependencies = [("post3", "0007_prefixes_by_the_index_alone")]

    operations = [
        migrations.CreateModel(
            name="Account",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "account_id",
                    models.CharField(default=post3.models.accounts.new_account_id, max_length=12, unique=True),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
        ),
        migrations.RunPython(make_first, migrations.RunPython.noop, elidable=False),
    ]
