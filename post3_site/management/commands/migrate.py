"""`manage.py migrate`: Django's command, which also creates the data directory and the secret file if missing."""

from typing import Any

from django.core.management.base import CommandError
from django.core.management.commands import migrate

from ...store import make_store


class Command(migrate.Command):
    help = "Create the store and its tables, or update the tables for this release."

    def execute(self, *args: Any, **options: Any) -> Any:
        try:
            make_store()
        except OSError as error:
            raise CommandError(f"The store cannot be created: {error.strerror}: {error.filename}. Set POST3_DATA_DIR.") from None
        return super().execute(*args, **options)
