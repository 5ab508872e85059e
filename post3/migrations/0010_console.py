"""A table that limits failed logins, and a faster check that protects owners from deletion.

The check reads one row of an owner instead of all. `on_delete` exists only in Django, so the database does not change.
"""

from django.conf import settings
from django.db import migrations, models

from post3.models.deleting import protect


def owner(related_name: str, **options: bool) -> models.ForeignKey:
    return models.ForeignKey(on_delete=protect, related_name=related_name, to=settings.AUTH_USER_MODEL, **options)


class Migration(migrations.Migration):
    dependencies = [
        ("post3", "0009_upload_key_sequence"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="LoginAllowance",
            fields=[
                ("digest", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("until", models.DateTimeField(db_index=True)),
            ],
        ),
        migrations.AlterField(model_name="bucket", name="owner", field=owner("post3_buckets")),
        migrations.AlterField(model_name="multipartupload", name="owner", field=owner("+")),
        migrations.AlterField(model_name="object", name="owner", field=owner("+", db_index=False)),
    ]
