"""`manage.py create_console_user`: create a user who can log in to the console."""

import getpass
import json
import secrets
import sys
from pathlib import Path
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser

from ...access import keys
from ...visible import visible
from ..base import StoreCommand


class Command(StoreCommand):
    help = (
        "Create a user who can log in to the console and has all permissions. An existing user who cannot log in, for example "
        "after rebuild_catalog or create_api_key --create-user, gets a password and all permissions. By default, the password "
        "is generated and printed once."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name", metavar="NAME")
        password = parser.add_mutually_exclusive_group()
        password.add_argument("--ask", action="store_true", help="prompt for the password")
        password.add_argument("--password-file", metavar="FILE", help="read the password from a file; -: from standard input")
        parser.add_argument("--reset", action="store_true", help="set a new password even if the user can already log in")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        name, generated = options["name"], not (options["ask"] or options["password_file"])
        password = secrets.token_urlsafe(15) if generated else self._given_password(options)
        try:
            user, is_new = keys.prepare_console_user(name, reset=options["reset"])
            if not generated:
                validate_password(password, user)
            keys.let_log_in(user, password)
        except keys.UserExists as error:
            raise CommandError(f"{error} Add --reset to set a new password.") from None
        except ValidationError as error:
            raise CommandError(visible(" ".join(error.messages))) from None
        values = {"user": user.get_username(), "created": is_new, **({"password": password} if generated else {})}
        if options["json"]:
            self.stdout.write(json.dumps(values))
            return
        self.stdout.write(visible(f"User: {values['user']}"))
        if generated:
            self.stdout.write(f"Password: {password}")

    def _given_password(self, options: dict[str, Any]) -> str:
        if options["ask"]:
            return self._asked_password()
        try:
            file = options["password_file"]
            text = sys.stdin.read() if file == "-" else Path(file).read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"The password cannot be read: {getattr(error, 'strerror', None) or error}.") from None
        return text.rstrip("\r\n")

    def _asked_password(self) -> str:
        if not sys.stdin.isatty():
            raise CommandError(
                "There is no terminal to prompt on. Use --password-file FILE, or neither option to generate a password."
            )
        try:
            password = getpass.getpass("Password: ")
            if getpass.getpass("Password (again): ") != password:
                raise CommandError("The passwords do not match.")
        except (KeyboardInterrupt, EOFError):
            raise CommandError("Nothing was changed.") from None
        return password
