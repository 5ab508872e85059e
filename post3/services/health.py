"""Readiness: whether the catalogue and every storage answer now."""

import contextlib
import logging
from collections.abc import Callable
from functools import partial

from django.db import connections, router

from ..models import Object
from ..outages import log_burst
from ..storage.handler import storages
from .catalogue import CatalogueFault, CatalogueIsNewer, require_tables

logger = logging.getLogger(__name__)


def check_readiness() -> dict[str, str]:
    """Return for "database" and for each "storage <class>" either "ok" or why not. Never raises.

    The reason is only the kind of the error: anyone may ask, and the error's text can hold hosts, users and paths. The
    text goes to the log.
    """
    report = {"database": _outcome("database", _check_database)}
    try:
        storage_classes = list(storages.classes())
    except Exception as error:  # a storage that cannot even be named makes the server not ready; it must not end the probe
        return report | {"storages": _failure("storages", error)}
    for storage_class in storage_classes:
        name = f"storage {storage_class}"
        report[name] = _outcome(name, partial(_check_storage, storage_class))
    return report


def _check_database() -> None:
    with connections[router.db_for_read(Object)].cursor() as cursor:
        cursor.execute("SELECT 1")
        cursor.fetchone()
    with contextlib.suppress(CatalogueIsNewer):
        require_tables()


def _check_storage(storage_class: str) -> None:
    storages[storage_class].check()  # the look-up imports the backend, and may fail too


def _outcome(name: str, check: Callable[[], None]) -> str:
    try:
        check()
    except CatalogueFault as fault:
        log_burst(logger, f"ready {name}", "Not ready: %s", fault)
        return f"failed: {fault}"
    except Exception as error:  # whatever it is, it is the answer
        return _failure(name, error)
    return "ok"


def _failure(name: str, error: Exception) -> str:
    log_burst(logger, f"ready {name}", "Not ready: %s: %s: %s", name, type(error).__name__, error)
    return f"failed: {type(error).__name__} (the server's log says more)"
