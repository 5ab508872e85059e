"""`manage.py revoke_api_key ACCESS_KEY`: revoke an API key permanently."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from ...access import keys
from ...models import ApiKey
from ...visible import visible
from ..base import StoreCommand


class Command(StoreCommand):
    help = "Revoke an API key permanently. Revoking it again has no effect."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("access_key", metavar="ACCESS_KEY")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            key = keys.revoke_api_key(options["access_key"])
        except ApiKey.DoesNotExist as error:
            raise CommandError(visible(str(error))) from None
        assert key.revoked_at is not None  # `revoke_api_key` has set it
        self.stdout.write(f"{key.access_key} was revoked at {key.revoked_at.isoformat(timespec='seconds')}")
