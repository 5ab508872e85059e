"""What the commands share that work on a store which must be there already."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError

from ..catalogue.schema import CatalogueFault, require_catalogue


class StoreCommand(BaseCommand):
    """A command that ends with one sentence where there is no catalogue of this release, and never makes one."""

    #: Whether the command goes on where the database cannot be reached now: a service may start before its database.
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
