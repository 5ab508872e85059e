"""System checks: a wrong setting is told at start, with a sentence that says what to write."""

import inspect
import os
import re
import sqlite3
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, register
from django.utils.module_loading import import_string

from .conf import Settings, conf
from .storage.base import Storage

#: The catalogue's statements need RETURNING (3.35) and the JSON functions, which are always built in since 3.38.
SQLITE_VERSION = (3, 38, 0)

#: Settings that may not be nought; all other numbers may.
AT_LEAST_ONE = {"MAX_BODY_SIZE", "MAX_OBJECT_SIZE", "MIN_PART_SIZE", "THREADS", "UPLOAD_THREADS", "MAX_HEAD_SIZE"}


@register("post3")
def check_values(**kwargs: Any) -> list[CheckMessage]:
    """Check the type and the range of every scalar setting."""
    errors: list[CheckMessage] = []
    for name, kind in Settings.__annotations__.items():
        value, variable = getattr(conf, name), f"POST3_{name}"
        if kind in (int, float):
            kinds, least = (int,) if kind is int else (int, float), 1 if name in AT_LEAST_ONE else 0
            if not isinstance(value, kinds) or isinstance(value, bool) or not value >= least:
                number = "a whole number" if kind is int else "a number"
                errors.append(Error(f"{variable} is {value!r}.", hint=f"Write {number} of at least {least}.", id="post3.E010"))
        elif kind is bool and not isinstance(value, bool):
            errors.append(Error(f"{variable} is {value!r}.", hint="Write True or False.", id="post3.E012"))
    if not isinstance(conf.METRICS_DIR, str) or (conf.METRICS_DIR and not os.path.isabs(conf.METRICS_DIR)):
        hint = "Write the absolute path of a directory on this machine that the server may make or write to."
        errors.append(Error(f"POST3_METRICS_DIR is {conf.METRICS_DIR!r}.", hint=hint, id="post3.E013"))
    if not isinstance(conf.METRICS_TOKEN, str) or not re.fullmatch(r"[\x21-\x7e]*", conf.METRICS_TOKEN):
        hint = "Write letters, digits and marks of ASCII, without spaces, or leave it out."
        errors.append(Error("POST3_METRICS_TOKEN cannot be sent as a bearer token.", hint=hint, id="post3.E014"))
    if not isinstance(conf.REGION, str) or not re.fullmatch(r"[a-z0-9-]{1,63}", conf.REGION):
        hint = "Write a region as AWS does: small letters, digits and dashes, like us-east-1."
        errors.append(Error(f"POST3_REGION is {conf.REGION!r}.", hint=hint, id="post3.E011"))
    return errors


@register("post3")
def check_storages(**kwargs: Any) -> list[CheckMessage]:
    """Check that POST3_STORAGES names a STANDARD storage, and backends that exist with options they know."""
    storages = conf.STORAGES
    if not isinstance(storages, dict) or "STANDARD" not in storages:
        hint = 'Write POST3_STORAGES = {"STANDARD": {"BACKEND": "post3.storage.database.DatabaseStorage"}}, or another backend.'
        return [Error('POST3_STORAGES has no storage "STANDARD".', hint=hint, id="post3.E020")]
    return [error for name, entry in storages.items() for error in _check_storage(name, entry)]


def _check_storage(name: str, entry: Any) -> list[CheckMessage]:
    where = f"POST3_STORAGES[{name!r}]"
    if not isinstance(entry, dict) or not isinstance(entry.get("BACKEND"), str) or entry.keys() - {"BACKEND", "OPTIONS"}:
        hint = 'Write {"BACKEND": "dotted.path.of.a.Storage", "OPTIONS": {…}}.'
        return [Error(f"{where} is not the description of a storage.", hint=hint, id="post3.E021")]
    try:
        backend = import_string(entry["BACKEND"])
    except ImportError as error:
        hint = "Write the dotted path of a storage class, like post3.storage.filesystem.FilesystemStorage."
        return [Error(f"The BACKEND of {where} cannot be imported: {error}.", hint=hint, id="post3.E022")]
    if not (isinstance(backend, type) and issubclass(backend, Storage)):
        hint = "Write the dotted path of a subclass of post3.storage.base.Storage."
        return [Error(f"The BACKEND of {where} is no storage: {entry['BACKEND']}.", hint=hint, id="post3.E022")]
    options = entry.get("OPTIONS") or {}
    try:
        inspect.signature(backend).bind(name, **options)
    except TypeError as error:
        hint = f"Write OPTIONS that {entry['BACKEND']} knows."
        return [Error(f"The OPTIONS of {where} do not fit: {error}.", hint=hint, id="post3.E023")]
    if "location" in inspect.signature(backend).parameters or "location" in options:
        return _check_location(where, options.get("location"))
    return []


def _check_location(where: str, location: Any) -> list[CheckMessage]:
    hint = '"location" must be an absolute path of a directory that the server may write to (POST3_DATA_DIR in this site).'
    if not isinstance(location, str | os.PathLike) or not os.path.isabs(location):
        return [Error(f"{where} has no absolute location: {location!r}.", hint=hint, id="post3.E024")]
    existing = Path(location)
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        return [Error(f"{where} cannot be kept in {location}: {existing} is no directory.", hint=hint, id="post3.E024")]
    if not os.access(existing, os.W_OK | os.X_OK):
        return [Error(f"{where} cannot be kept in {location}: {existing} is not writable.", hint=hint, id="post3.E024")]
    return []


@register("post3")
def check_database(**kwargs: Any) -> list[CheckMessage]:
    """Check that the catalogue's database is one that post3 speaks, and new enough."""
    engine = settings.DATABASES.get("default", {}).get("ENGINE", "")
    if engine.endswith("sqlite3") and sqlite3.sqlite_version_info < SQLITE_VERSION:
        wanted = ".".join(map(str, SQLITE_VERSION))
        hint = f"Use a Python whose SQLite is {wanted} or newer, or PostgreSQL (DATABASE_URL=postgresql://…)."
        return [Error(f"This Python's SQLite is {sqlite3.sqlite_version}.", hint=hint, id="post3.E030")]
    if engine and not engine.endswith(("sqlite3", "postgresql", "postgis", "django.db.backends.dummy")):
        hint = "Use django.db.backends.postgresql or django.db.backends.sqlite3 as the default database."
        return [Error(f"post3 cannot keep its catalogue in {engine}.", hint=hint, id="post3.E031")]
    return []
