"""System checks of the site, and the check at a server's start."""

import os
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import django
from django.conf import settings
from django.core import checks

#: What uvicorn and gunicorn both take for "do not try again".
STARTUP_FAILURE = 3


@checks.register("post3")
def check_environment(**kwargs: Any) -> list[checks.CheckMessage]:
    """Report what settings.py found wrong in the environment."""
    return [checks.Error(message, hint=hint, id=check_id) for check_id, message, hint in settings.POST3_PROBLEMS]


def start_django() -> None:
    """Set up Django for a server, which knows no `manage.py`; where a check fails, say so in a sentence and exit."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "post3_site.settings")
    stop_on_problems()
    django.setup(set_prefix=False)
    errors = [message for message in checks.run_checks() if message.is_serious() and not message.is_silenced()]
    if errors:
        _stop([(str(error.id), str(error.msg), error.hint or "") for error in errors])


def stop_on_problems(status: int = STARTUP_FAILURE) -> None:
    """Exit where the environment is wrong, before anything follows from it. Needs the settings only."""
    if settings.POST3_PROBLEMS:
        _stop(settings.POST3_PROBLEMS, status)


def _stop(problems: Sequence[tuple[str, str, str]], status: int = STARTUP_FAILURE) -> NoReturn:
    lines = "".join(f"  {check_id}: {message} {hint}\n" for check_id, message, hint in problems)
    sys.stderr.write(f"post3 does not start:\n{lines}")
    sys.exit(status)
