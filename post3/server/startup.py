"""Setting Django up for a server: unlike `manage.py`, a server runs no system checks by itself."""

import sys
from collections.abc import Iterable
from typing import NoReturn

import django
from django.core.checks import run_checks
from django.db import DatabaseError

from ..declaring import Problem

#: What uvicorn and gunicorn both take for "do not try again".
STARTUP_FAILURE = 3


def set_up() -> None:
    """Set Django up; exit where a check of post3's finds something wrong, with a sentence for each."""
    django.setup(set_prefix=False)
    try:
        errors = find_errors(["post3"])
    except DatabaseError:
        return  # it cannot be reached now; requests are refused until it can
    if errors:
        stop(errors)


def find_errors(tags: list[str] | None = None, databases: list[str] | None = None) -> list[Problem]:
    """Run the system checks, those of `databases` too if given; return the errors that are not silenced."""
    serious = [
        message for message in run_checks(tags=tags, databases=databases) if message.is_serious() and not message.is_silenced()
    ]
    return [Problem(str(message.id), str(message.msg), message.hint or "") for message in serious]


def stop(problems: Iterable[Problem], status: int = STARTUP_FAILURE) -> NoReturn:
    """Write what is wrong, a line each, and exit."""
    lines = "".join(f"  {check_id}: {f'{message} {hint}'.strip()}\n" for check_id, message, hint in problems)
    sys.stderr.write(f"post3 does not start:\n{lines}")
    sys.exit(status)
