"""The base class of commands that need an existing store."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError

from ..access.callers import OPERATOR
from ..access.permissions import AccessRequest, is_allowed
from ..catalogue.schema import CatalogueFault, require_catalogue


def authorise_command(command: BaseCommand) -> None:
    """Ask the rule of `access/permissions.py`, for the action `post3:CheckStorage` and so on. Raises CommandError."""
    name = type(command).__module__.rpartition(".")[2]
    action = f"post3:{name.title().replace('_', '')}"
    if not is_allowed(AccessRequest(OPERATOR, action)):
        raise CommandError(f"The command {name} is not allowed ({action}).")


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: `1 object`, `1,234 objects`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


class StoreCommand(BaseCommand):
    """A command that requires a catalogue of this release. Without one, it fails with a one-line message."""

    #: Whether the command continues if the database is unreachable: a service may start before its database.
    starts_without_database = False

    def execute(self, *args: Any, **options: Any) -> Any:
        authorise_command(self)
        if not options.get("skip_checks"):
            try:
                require_catalogue()
            except CatalogueFault as fault:
                raise CommandError(str(fault)) from None
            except OperationalError:
                if not self.starts_without_database:
                    raise
        return super().execute(*args, **options)
