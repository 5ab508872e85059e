"""The state of an upload's key when the upload was created.

It lets a condition on the completion detect later writes and deletions.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("post3", "0008_accounts")]

    operations = [
        migrations.AddField(
            model_name="multipartupload",
            name="key_sequence",
            field=models.BigIntegerField(null=True),
        ),
    ]
