"""`manage.py create_api_key`: create an API key and print it once."""

import json
from typing import Any

from django.core.management.base import CommandError, CommandParser

from ...access import keys
from ...access.accounts import account_id
from ...visible import visible
from ..base import StoreCommand


class Command(StoreCommand):
    help = "Create an API key and print it with its secret, which is never shown again."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--user", metavar="NAME", help="owner of the key (default: the only superuser)")
        parser.add_argument(
            "--create-user", action="store_true", help="create the user if missing; the user cannot log in to the console"
        )
        parser.add_argument("--name", default="", help="purpose of the key")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["create_user"] and not options["user"]:
            raise CommandError("--create-user requires --user NAME.")
        if unreadable := keys.find_unreadable_key():
            line = f"The secret does not decrypt API key {unreadable}. A server with the correct secret would refuse the new key."
            self.stderr.write(line)
        try:
            user = keys.find_user(options["user"], create=options["create_user"])
            key, secret = keys.create_api_key(user, options["name"])
        except keys.NoSuchUser as error:
            raise CommandError(visible(f"{error} --create-user creates the user." if options["user"] else str(error))) from None
        except keys.InactiveUser as error:
            raise CommandError(visible(str(error))) from None
        values = {"AWS_ACCESS_KEY_ID": key.access_key, "AWS_SECRET_ACCESS_KEY": secret}
        if options["json"]:
            self.stdout.write(json.dumps({**values, "AWS_ACCOUNT_ID": account_id()}))
        else:
            lines = [f"export {name}={value}" for name, value in values.items()]
            self.stdout.write("\n".join([*lines, f"# Account: {account_id()}"]))
