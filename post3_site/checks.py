"""System checks of the site, and the checks when a server starts."""

import logging
import os
import sys
import traceback
from typing import Any

import django
from django.conf import settings
from django.core import checks
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections

from post3.declaring import Problem
from post3.server.startup import STARTUP_FAILURE, find_errors, stop

logger = logging.getLogger(__name__)

#: A warning, not an error, so that a site that has lost its secret can continue with new keys.
WRONG_SECRET = (
    "POST3_SECRET_KEY does not decrypt API key {key}: requests signed with this key are refused. Set the secret that the key "
    "was created with, add that secret to POST3_SECRET_KEY_FALLBACKS, or create a new key."
)


@checks.register("post3")
def check_environment(**kwargs: Any) -> list[checks.CheckMessage]:
    """Report the problems that settings.py found in the environment."""
    return [checks.Error(message, hint=hint, id=check_id) for check_id, message, hint in settings.POST3_PROBLEMS]


def start_django() -> None:
    """Set up Django for a server, which does not run `manage.py`. If a check fails, print a message and exit."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "post3_site.settings")
    stop_on_problems()
    django.setup(set_prefix=False)
    if not _checked_before_fork:
        _check_all()


def check_before_fork() -> None:
    """Run the checks of `start_django` once for all processes that this one forks. They do not repeat the checks.

    The checks run in a short-lived child, so that this process, which runs longest, neither imports the app nor opens
    any connections.
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
        finally:  # the caller's code must not run in the child
            os._exit(status)
    _, status = os.waitpid(child, 0)
    if status:
        sys.exit(STARTUP_FAILURE)
    _checked_before_fork = True


_checked_before_fork = False


def _check_all() -> None:
    from post3.access.keys import find_unreadable_key
    from post3.catalogue.schema import CatalogueFault, CatalogueIsNewer, require_file, require_tables
    from post3.checks import CATALOGUE
    from post3.services import disk_reserve

    try:
        require_file()
        if errors := find_errors([CATALOGUE], [DEFAULT_DB_ALIAS]):  # first, because other checks may query the database
            stop(errors)
        if errors := find_errors():
            stop(errors)
        require_tables()
        disk_reserve.keep()
        if key := find_unreadable_key():
            logger.warning("%s", WRONG_SECRET.format(key=key))
    except CatalogueIsNewer as fault:
        logger.warning("%s", fault)  # this release continues to run while a newer one takes over
    except CatalogueFault as fault:
        stop([Problem("post3.E043", str(fault), "")])
    except DatabaseError as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        logger.warning("The database cannot be reached now, and requests are refused until it can: %s", reason)
    finally:
        connections.close_all()


def stop_on_problems(status: int = STARTUP_FAILURE) -> None:
    """Exit if the environment is invalid, before it has any effect. Needs only the settings."""
    if settings.POST3_PROBLEMS:
        stop(settings.POST3_PROBLEMS, status)
