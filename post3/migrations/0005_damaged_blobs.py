"""An index of damaged blobs, usually empty, so that the console finds the few among millions of blobs."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("post3", "0004_integrity")]

    operations = [
        migrations.AddIndex(
            model_name="blob",
            index=models.Index(fields=["id"], name="post3_blob_damaged", condition=models.Q(state=3)),
        ),
    ]
