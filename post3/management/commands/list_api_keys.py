"""`manage.py list_api_keys`: list all API keys, without their secrets."""

import json
from typing import Any

from django.core.management.base import CommandParser

from ...access import keys
from ...access.accounts import account_id
from ...models import ApiKey
from ...visible import visible
from ..base import StoreCommand

COLUMNS = ("access_key", "user", "account", "name", "created_at", "revoked_at")


class Command(StoreCommand):
    help = "List the API keys, newest first."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print a JSON list of objects")

    def handle(self, *args: Any, **options: Any) -> None:
        account = account_id()
        rows = [_row(key, account) for key in keys.find_api_keys()]
        if options["json"]:
            self.stdout.write(json.dumps(rows, indent=2))
            return
        lines = [COLUMNS, *([visible(row[column] or "-") for column in COLUMNS] for row in rows)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(COLUMNS))]
        for line in lines:
            self.stdout.write("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _row(key: ApiKey, account: str) -> dict[str, str | None]:
    return {
        "access_key": key.access_key,
        "user": key.user.get_username(),
        "account": account,
        "name": key.name,
        "created_at": key.created_at.isoformat(timespec="seconds"),
        "revoked_at": key.revoked_at.isoformat(timespec="seconds") if key.revoked_at else None,
    }
