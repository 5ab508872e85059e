"""System checks that report invalid settings at startup, with a hint that gives the correction."""

import inspect
import os
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, register
from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, DatabaseError, OperationalError, connections
from django.utils.module_loading import import_string

from .conf import Settings, conf, find_disorder
from .console_host import is_console_host, parse_console_host
from .db.databases import find_faults
from .declaring import Problem, declared, misspelt
from .storage.base import Storage
from .storage.capabilities import CatalogueResident
from .web.origins import s3_address

#: The catalogue's statements need RETURNING (3.35) and the JSON functions, which are always built in as of 3.38.
SQLITE_VERSION = (3, 38, 0)

#: The tag of checks that query the catalogue's database. Commands and servers run them before they use the database.
CATALOGUE = "post3_catalogue"


@register("post3")
def check_values(**kwargs: Any) -> list[CheckMessage]:
    """Check the type and range of every setting, and the pairs that limit each other."""
    values = {setting: getattr(settings, setting.name, setting.default) for setting in declared(Settings)}
    problems = {setting: problem for setting, value in values.items() if (problem := setting.problem(value))}
    right = {setting.name: value for setting, value in values.items() if setting not in problems}
    return _errors([*problems.values(), *find_disorder(right)])


@register("post3")
def check_names(**kwargs: Any) -> list[CheckMessage]:
    """Check for misspelled setting names."""
    return _errors(misspelt(dir(settings), {setting.name for setting in declared(Settings)}))


def _errors(problems: Iterable[Problem]) -> list[CheckMessage]:
    return [Error(message, hint=hint, id=check_id) for check_id, message, hint in problems]


@register("post3")
def check_storages(**kwargs: Any) -> list[CheckMessage]:
    """Check that POST3_STORAGES has a STANDARD storage, and that all backends exist and accept their options."""
    storages = conf.STORAGES
    if not isinstance(storages, dict) or "STANDARD" not in storages:
        hint = 'Write POST3_STORAGES = {"STANDARD": {"BACKEND": "post3.storage.database.DatabaseStorage"}}, or another backend.'
        return [Error('POST3_STORAGES has no storage "STANDARD".', hint=hint, id="post3.E020")]
    return [error for name, entry in storages.items() for error in _check_storage(name, entry)]


def _check_storage(name: str, entry: Any) -> list[CheckMessage]:
    where = f"POST3_STORAGES[{name!r}]"
    if not isinstance(entry, dict) or not isinstance(entry.get("BACKEND"), str) or entry.keys() - {"BACKEND", "OPTIONS"}:
        hint = 'Write {"BACKEND": "dotted.path.of.a.Storage", "OPTIONS": {…}}.'
        return [Error(f"{where} is not a valid storage definition.", hint=hint, id="post3.E021")]
    try:
        backend = import_string(entry["BACKEND"])
    except ImportError as error:
        hint = "Write the dotted path of a storage class, like post3.storage.filesystem.FilesystemStorage."
        return [Error(f"The BACKEND of {where} cannot be imported: {error}.", hint=hint, id="post3.E022")]
    if not (isinstance(backend, type) and issubclass(backend, Storage)):
        hint = "Write the dotted path of a subclass of post3.storage.base.Storage."
        return [Error(f"The BACKEND of {where} is not a storage: {entry['BACKEND']}.", hint=hint, id="post3.E022")]
    if missing := [method for method in dir(backend) if getattr(getattr(backend, method), "__isabstractmethod__", False)]:
        hint = "Write these methods; post3/storage/base.py and capabilities.py describe them."
        return [Error(f"The BACKEND of {where} does not implement {', '.join(missing)}.", hint=hint, id="post3.E022")]
    options = entry.get("OPTIONS") or {}
    try:
        inspect.signature(backend).bind(name, **options)
    except TypeError as error:
        hint = f"Write OPTIONS that {entry['BACKEND']} accepts."
        return [Error(f"The OPTIONS of {where} are not valid: {error}.", hint=hint, id="post3.E023")]
    if issubclass(backend, CatalogueResident):  # it needs no resource but the database, and may be created
        try:
            backend(name, **options)
        except ImproperlyConfigured as error:
            return [Error(f"The OPTIONS of {where} are not valid: {error}.", hint="Correct the value.", id="post3.E023")]
    if "location" in inspect.signature(backend).parameters or "location" in options:
        return _check_location(where, options.get("location"))
    return []


def _check_location(where: str, location: Any) -> list[CheckMessage]:
    hint = '"location" must be the absolute path of a directory that the server can write to (POST3_DATA_DIR in this site).'
    if not isinstance(location, str | os.PathLike) or not os.path.isabs(location):
        return [Error(f"{where} has no absolute location: {location!r}.", hint=hint, id="post3.E024")]
    existing = Path(location)
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        return [Error(f"{where} cannot use {location}: {existing} is not a directory.", hint=hint, id="post3.E024")]
    if not os.access(existing, os.W_OK | os.X_OK):
        return [Error(f"{where} cannot use {location}: {existing} is not writable.", hint=hint, id="post3.E024")]
    return []


@register("post3")
def check_database(**kwargs: Any) -> list[CheckMessage]:
    """Check that the catalogue's database is supported and recent enough."""
    engine = settings.DATABASES.get("default", {}).get("ENGINE", "")
    if engine.endswith("sqlite3") and sqlite3.sqlite_version_info < SQLITE_VERSION:
        wanted = ".".join(map(str, SQLITE_VERSION))
        hint = f"Use a Python with SQLite {wanted} or newer, or PostgreSQL (DATABASE_URL=postgresql://…)."
        return [Error(f"This Python has SQLite {sqlite3.sqlite_version}.", hint=hint, id="post3.E030")]
    if engine and not engine.endswith(("sqlite3", "postgresql", "postgis", "django.db.backends.dummy")):
        hint = "Use django.db.backends.postgresql or django.db.backends.sqlite3 as the default database."
        return [Error(f"post3 cannot store its catalogue in {engine}.", hint=hint, id="post3.E031")]
    return []


@register(Tags.database, CATALOGUE)
def check_catalogue(databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """Check that the database is suitable for the catalogue, before migrations and when a server starts.

    An unreachable database is not an error, because a server may start before its database.
    """
    if DEFAULT_DB_ALIAS not in (databases or ()):
        return []
    try:
        faults = find_faults(connections[DEFAULT_DB_ALIAS])
    except OperationalError:
        return []
    except DatabaseError as error:  # unsuitable, or a version that Django itself rejects
        return [Error(str(error), id="post3.E032")]
    return [Error(fault.text, hint=fault.hint or None, id="post3.E032") for fault in faults]


@register("post3")
def check_console_host(**kwargs: Any) -> list[CheckMessage]:
    """Check that POST3_CONSOLE_HOST differs from the address of S3, and that the console is installed."""
    if not is_console_host(conf.CONSOLE_HOST):
        return []  # empty, or invalid, which `check_values` reports
    console = parse_console_host(conf.CONSOLE_HOST)
    host, port = s3_address()
    if console.port == port or (console.port is None and console.name == host.lower()):
        hint = "Give the console a different port than S3, or a separate host name."
        return [Error(f"POST3_CONSOLE_HOST is {conf.CONSOLE_HOST!r}, which is the address of S3.", hint=hint, id="post3.E041")]
    if not apps.is_installed("django.contrib.admin"):
        hint = "Add django.contrib.admin and the apps it requires to INSTALLED_APPS, or leave POST3_CONSOLE_HOST out."
        return [Error("POST3_CONSOLE_HOST is set, but the console cannot be served.", hint=hint, id="post3.E042")]
    return []
