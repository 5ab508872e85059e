"""Readiness: whether the catalogue and every storage work at the moment."""

import contextlib
import logging
from collections.abc import Callable
from functools import partial

from django.db import connections, router

from ..catalogue.schema import CatalogueFault, CatalogueIsNewer, require_tables
from ..db.outages import log_burst
from ..models import Object
from ..services import disk_reserve
from ..storage.base import is_full
from ..storage.handler import storages

logger = logging.getLogger(__name__)

#: Outcomes in which reads and deletes still work, but nothing new can be written.
FULL, READ_ONLY = "full", "read-only"


class _Degraded(Exception):
    """Reading works but writing does not. The text says why."""


def check_readiness() -> dict[str, str]:
    """Return "ok", FULL, READ_ONLY or the reason for failure, of "database" and each "storage <class>". Never raises.

    The reason is only the type of the error: anyone may ask, and the error's text can contain hosts, users and paths.
    The text is logged.
    """
    report = {"database": _outcome("database", _check_database)}
    try:
        storage_classes = list(storages.classes())
    except Exception as error:  # an error in the configured names makes the server not ready; it must not end the probe
        return report | {"storages": _failure("storages", error)}
    for storage_class in storage_classes:
        name = f"storage {storage_class}"
        report[name] = _outcome(name, partial(_check_storage, storage_class))
    return report


def _check_database() -> None:
    database = connections[router.db_for_read(Object)]
    with database.cursor() as cursor:
        cursor.execute("SHOW transaction_read_only" if database.vendor == "postgresql" else "SELECT 1")
        (answer,) = cursor.fetchone()
    with contextlib.suppress(CatalogueIsNewer):
        require_tables()
    if answer == "on":
        raise _Degraded(READ_ONLY)
    if disk_reserve.is_given_up():
        raise _Degraded(FULL)


def _check_storage(storage_class: str) -> None:
    storages[storage_class].check()  # the lookup imports the backend and may also fail


def _outcome(name: str, check: Callable[[], None]) -> str:
    try:
        check()
    except CatalogueFault as fault:
        log_burst(logger, f"ready {name}", "Not ready: %s", fault)
        return f"failed: {fault}"
    except _Degraded as error:
        return str(error)
    except Exception as error:  # any error is the outcome
        return FULL if is_full(error) else _failure(name, error)
    return "ok"


def _failure(name: str, error: Exception) -> str:
    log_burst(logger, f"ready {name}", "Not ready: %s: %s: %s", name, type(error).__name__, error)
    return f"failed: {type(error).__name__} (the server's log says more)"
