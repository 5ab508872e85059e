"""Django's setup for a server. Unlike `manage.py`, a server runs no system checks by itself."""

import sys
from collections.abc import Iterable
from typing import NoReturn

import django
from django.core.checks import run_checks
from django.db import DatabaseError

from ..declaring import Problem

#: The exit status that both uvicorn and gunicorn treat as "do not restart".
STARTUP_FAILURE = 3


def set_up() -> None:
    """Set up Django. If any of post3's system checks fails, print the problems and exit."""
    django.setup(set_prefix=False)
    try:
        errors = find_errors(["post3"])
    except DatabaseError:
        return  # the database cannot be reached; requests are refused until it can be
    if errors:
        stop(errors)


def find_errors(tags: list[str] | None = None, databases: list[str] | None = None) -> list[Problem]:
    """Run the system checks, including those of `databases` if given. Return the errors that are not silenced."""
    serious = [
        message for message in run_checks(tags=tags, databases=databases) if message.is_serious() and not message.is_silenced()
    ]
    return [Problem(str(message.id), str(message.msg), message.hint or "") for message in serious]


def stop(problems: Iterable[Problem], status: int = STARTUP_FAILURE) -> NoReturn:
    """Print the problems, one per line, and exit."""
    lines = "".join(f"  {check_id}: {f'{message} {hint}'.strip()}\n" for check_id, message, hint in problems)
    sys.stderr.write(f"post3 does not start:\n{lines}")
    sys.exit(status)
