"""Columns for integrity checks: the checksum of a blob, a state for damaged blobs, the position of background work."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("post3", "0003_list_functions")]

    operations = [
        migrations.CreateModel(
            name="WorkerState",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=64, unique=True)),
                ("position", models.BigIntegerField(default=0)),
                ("count", models.BigIntegerField(default=0)),
                ("size", models.BigIntegerField(default=0)),
                ("updated_at", models.DateTimeField(auto_now=True)),
            ],
            options={"ordering": ["name"]},
        ),
        migrations.AddField(
            model_name="blob",
            name="crc64nvme",
            field=models.CharField(blank=True, max_length=12, null=True),
        ),
        migrations.AlterField(
            model_name="blob",
            name="state",
            field=models.SmallIntegerField(choices=[(0, "pending"), (1, "stored"), (2, "deleting"), (3, "damaged")]),
        ),
    ]
