"""System checks of the site, and the check at a server's start."""

import logging
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

import django
from django.conf import settings
from django.core import checks
from django.db import DatabaseError, connections

logger = logging.getLogger(__name__)

#: What uvicorn and gunicorn both take for "do not try again".
STARTUP_FAILURE = 3
#: Not an error: whoever has lost the secret goes on with new keys.
WRONG_SECRET = (
    "POST3_SECRET_KEY does not open API key {key}: requests signed with it are refused. "
    "Set the secret it was made under, add that to POST3_SECRET_KEY_FALLBACKS, or make a new key."
)


@checks.register("post3")
def check_environment(**kwargs: Any) -> list[checks.CheckMessage]:
    """Report what settings.py found wrong in the environment."""
    return [checks.Error(message, hint=hint, id=check_id) for check_id, message, hint in settings.POST3_PROBLEMS]


def start_django() -> None:
    """Set up Django for a server, which knows no `manage.py`; where a check fails, say so in a sentence and exit."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "post3_site.settings")
    stop_on_problems()
    django.setup(set_prefix=False)
    if not _checked_before_fork:
        _check_all()


def check_before_fork() -> None:
    """Check all that `start_django` does, once for all the processes that this one forks, which then do not repeat it.

    The checks run in a child that ends, so that this process, which lives longest, imports nothing of the app and connects to
    nothing.
    """
    global _checked_before_fork
    stop_on_problems()
    child = os.fork()
    if child == 0:
        status = STARTUP_FAILURE
        try:
            start_django()
            status = 0
        except Exception:
            traceback.print_exc()
        finally:  # nothing of the caller's may run in the child
            os._exit(status)
    _, status = os.waitpid(child, 0)
    if status:
        sys.exit(STARTUP_FAILURE)
    _checked_before_fork = True


_checked_before_fork = False


def _check_all() -> None:
    from post3.services.access import find_unreadable_key
    from post3.services.catalogue import CatalogueFault, CatalogueIsNewer, require_file, require_tables

    try:
        require_file()
        errors = [message for message in checks.run_checks() if message.is_serious() and not message.is_silenced()]
        if errors:
            _stop([(str(error.id), str(error.msg), error.hint or "") for error in errors])
        require_tables()
        if key := find_unreadable_key():
            logger.warning("%s", WRONG_SECRET.format(key=key))
    except CatalogueIsNewer as fault:
        logger.warning("%s", fault)  # while a newer release takes over, this one goes on
    except CatalogueFault as fault:
        _stop([("post3.E040", str(fault), "")])
    except DatabaseError:
        logger.warning("The database cannot be reached now; requests are refused until it can.")
    finally:
        connections.close_all()


def stop_on_problems(status: int = STARTUP_FAILURE) -> None:
    """Exit where the environment is wrong, before anything follows from it. Needs the settings only."""
    if settings.POST3_PROBLEMS:
        _stop(settings.POST3_PROBLEMS, status)


def stop_for(message: str, hint: str, check_id: str) -> NoReturn:
    """Say why a server does not start, and exit."""
    _stop([(check_id, message, hint)])


def _stop(problems: Sequence[tuple[str, str, str]], status: int = STARTUP_FAILURE) -> NoReturn:
    lines = "".join(f"  {check_id}: {f'{message} {hint}'.strip()}\n" for check_id, message, hint in problems)
    sys.stderr.write(f"post3 does not start:\n{lines}")
    sys.exit(status)
