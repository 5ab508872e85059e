"""What the commands share that work on a store which must be there already."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ..services.catalogue import CatalogueFault, require_catalogue


class StoreCommand(BaseCommand):
    """A command that ends with one sentence where there is no catalogue of this release, and never makes one."""

    def execute(self, *args: Any, **options: Any) -> Any:
        if not options.get("skip_checks"):
            try:
                require_catalogue()
            except CatalogueFault as fault:
                raise CommandError(str(fault)) from None
        return super().execute(*args, **options)
