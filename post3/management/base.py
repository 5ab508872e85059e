"""The base class of commands that need an existing store."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError

from ..catalogue.schema import CatalogueFault, require_catalogue


class StoreCommand(BaseCommand):
    """A command that requires a catalogue of this release. Without one, it fails with a one-line message."""

    #: Whether the command continues if the database is unreachable: a service may start before its database.
    starts_without_database = False

    def execute(self, *args: Any, **options: Any) -> Any:
        if not options.get("skip_checks"):
            try:
                require_catalogue()
            except CatalogueFault as fault:
                raise CommandError(str(fault)) from None
            except OperationalError:
                if not self.starts_without_database:
                    raise
        return super().execute(*args, **options)
