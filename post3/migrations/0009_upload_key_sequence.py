"""What was at an upload's key when it began, so that a condition on its completion sees later writes and deletions."""

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
