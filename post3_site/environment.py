"""Read typed values from the environment. Problems are collected, never raised.

If a settings module raises while it is imported, the user sees a traceback and only the first error. Instead, every
invalid value is replaced by a harmless one and recorded as a problem with a hint. `post3_site/checks.py` turns the
problems into system check errors, which prevent the site from starting in any way.
"""

import contextlib
import os
import secrets
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import dj_database_url

from post3.conf import find_disorder
from post3.declaring import Problem, Setting, declared, misspelt

T = TypeVar("T")

#: Names with the prefix `POST3_` that are read elsewhere: by the SDK and by compose.yaml.
OTHERS = {
    "POST3_ENDPOINT",
    "POST3_IMAGE",
    "POST3_PUBLISH",
    "POST3_NGINX_PUBLISH",
    "POST3_CONSOLE_PUBLISH",
    "POST3_NGINX_CONSOLE_PUBLISH",
}
TRUE, FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}
DATABASE_SCHEMES = {"postgres", "postgresql", "pgsql", "sqlite"}
#: Django's SQLite backend, with a private catalogue file.
SQLITE_ENGINE = "post3_site.sqlite3"

#: libpq's timeouts for a PostgreSQL host that drops packets: 5 seconds to connect, and about 25 seconds for an open
#: connection. Without them, threads would wait for minutes or hours. DATABASE_URL may override them.
PATIENCE = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}


#: Replaces the database if DATABASE_URL is invalid.
UNUSABLE = {"ENGINE": "django.db.backends.dummy"}


class Environment:
    """Typed access to a mapping of strings. An empty value counts as missing."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self.problems: list[Problem] = []

    def problem(self, check_id: str, message: str, hint: str) -> None:
        self.problems.append(Problem(check_id, message, hint))

    def text(self, name: str, default: str = "") -> str:
        return self._values.get(name, "").strip() or default

    def read(self, setting: Setting[T]) -> T:
        """Return a setting's value from the environment, or the default if the value is missing or invalid."""
        text = self.text(setting.name)
        if not text:
            return setting.default
        try:
            value: T = CONVERT[setting.kind](text)
        except ValueError:
            self.problems.append(_unreadable(setting, text))
            return setting.default
        if found := setting.problem(value):
            self.problems.append(found)
            return setting.default
        return value

    def given(self, owner: type) -> dict[str, Any]:
        """Return the settings of a class that are set in the environment, by full name. Invalid ones are left out."""
        values: dict[str, Any] = {}
        for setting in declared(owner):
            if setting.kind in CONVERT and self.text(setting.name):
                told = len(self.problems)
                value = self.read(setting)
                if len(self.problems) == told:
                    values[setting.name] = value
        return values

    def check_order(self, given: Mapping[str, Any], owner: type) -> None:
        """Record contradictions between settings of a class. Settings missing in the environment have defaults."""
        defaults = {setting.name: setting.default for setting in declared(owner) if not self.text(setting.name)}
        self.problems += find_disorder({**defaults, **given})

    def check_names(self, *owners: type) -> None:
        """Record misspelled names of settings of these classes."""
        known = {setting.name for owner in owners for setting in declared(owner) if setting.kind in CONVERT}
        self.problems += misspelt([name for name in self._values if self.text(name)], known | OTHERS)

    def database(self, setting: Setting[str], default_path: Path) -> dict[str, Any]:
        """Return Django's settings for the database in the URL, or for SQLite at `default_path` if there is no URL.

        Connections stay open (CONN_MAX_AGE None): each worker thread keeps one, and opening a connection per request
        costs more than most requests. CONN_HEALTH_CHECKS stays off: it would double the statements of a GET, and a
        broken connection is replaced after the first request that fails on it.
        """
        name, url = setting.name, self.text(setting.name)
        common = {"CONN_MAX_AGE": None}
        if not url:
            return {"ENGINE": SQLITE_ENGINE, "NAME": str(default_path), **common, "OPTIONS": sqlite_options({})}
        hint = (
            f"Write {name}=postgresql://user:password@host:5432/name, with special characters percent-encoded, "
            f"or leave {name} out for SQLite."
        )
        try:
            database: dict[str, Any] = dict(dj_database_url.parse(url))
        except ValueError:  # the URL is not repeated, because it may contain a password
            self.problem("post3.E005", f"{name} is not a database URL.", hint)
            return UNUSABLE
        if urlsplit(url).scheme not in DATABASE_SCHEMES or not database.get("NAME"):
            self.problem("post3.E005", f"{name} does not name a PostgreSQL or SQLite database.", hint)
            return UNUSABLE
        options = database.get("OPTIONS", {})
        if database["ENGINE"].endswith("sqlite3"):
            return {**database, **common, "ENGINE": SQLITE_ENGINE, "OPTIONS": sqlite_options(options)}
        # No `prepare_threshold`: behind a pooler, psycopg's statement names would collide with those of other clients.
        # post3's names do not (D58).
        return {**database, **common, "OPTIONS": {**PATIENCE, **options}}

    def check_directory(self, setting: Setting[str], path: Path) -> None:
        """Record a problem if a directory cannot be created or written to. It is created only with a store."""
        existing = path
        while not existing.exists() and existing != existing.parent:
            existing = existing.parent
        hint = f"Write {setting.name}=<a directory that this user can write to>."
        if not existing.is_dir():
            self.problem("post3.E007", f"The data directory {path} cannot be created: {existing} is not a directory.", hint)
        elif not os.access(existing, os.W_OK | os.X_OK):
            self.problem("post3.E007", f"The data directory {path} cannot be used: {existing} is not writable.", hint)

    def secret(self, setting: Setting[str], kept_in: Path | None, database: Mapping[str, Any]) -> tuple[str, str]:
        """Return the site's secret, and the path of `kept_in` if the secret is stored there or will be.

        If there is no secret, or reading it fails, return a temporary one. A problem, or the missing store, then ends
        the process before anything is signed or encrypted.
        """
        given = self.read(setting)
        if given or self.text(setting.name):
            return given or secrets.token_urlsafe(48), ""
        if kept_in is None:
            if database != UNUSABLE:
                message = f"{setting.name} is not set; it is required on PostgreSQL."
                self.problem(setting.check_id, message, f"Write {setting.name}=<{setting.write}>.")
            return secrets.token_urlsafe(48), ""
        try:
            return _read_secret(kept_in), str(kept_in)
        except FileNotFoundError:
            if Path(str(database["NAME"])).is_file():
                # A new secret would silently make every API key unreadable.
                message = f"{setting.name} is not set, and {kept_in} is missing although the catalogue exists."
                self.problem(setting.check_id, message, f"Restore the file, or write {setting.name}=<the secret that was in it>.")
        except OSError as error:
            if not any(problem.check_id == "post3.E007" for problem in self.problems):
                message = f"{setting.name} is not set, and {kept_in} cannot be read: {error.strerror}."
                self.problem(setting.check_id, message, f"Restore the file, or write {setting.name}=<the secret that was in it>.")
        return secrets.token_urlsafe(48), str(kept_in)


def _unreadable(setting: Setting[Any], text: str) -> Problem:
    """Return the problem for a text that cannot be converted to the setting's type."""
    shown = text if len(text) <= 100 else f"{text[:100]}…"
    message = f"{setting.name} is {shown!r}."
    if setting.kind is bool:
        return Problem("post3.E001", message, f"Write {setting.name}=1 or {setting.name}=0.")
    return Problem("post3.E003", message, f"Write {setting.write}, in digits, or leave {setting.name} out.")


def _boolean(text: str) -> bool:
    if text.lower() not in TRUE | FALSE:
        raise ValueError(text)
    return text.lower() in TRUE


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


#: Converters from strings in the environment to values, by the setting's type.
CONVERT: dict[Any, Callable[[str], Any]] = {bool: _boolean, int: int, float: float, str: str, list[str]: _list}


def parse_address(text: str) -> tuple[str, int]:
    """Return the host and port of a valid `host:port`."""
    parts = urlsplit(f"//{text}")
    return parts.hostname or "", parts.port or 0


def sqlite_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return Django's OPTIONS for a SQLite catalogue.

    IMMEDIATE: otherwise, a transaction that reads before it writes could fail immediately with "database is locked",
    whatever the timeout. WAL: readers do not wait for the writer. FULL: acknowledged writes survive a power failure;
    NORMAL would not sync at commit under WAL. mmap_size and cache_size keep their defaults: each applies per
    connection, so the memory of a process would grow with the number of threads (729 MiB were seen).
    """
    pragmas = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL"
    return {"transaction_mode": "IMMEDIATE", "timeout": 30, "init_command": pragmas, **options}


def kept_secret(path: Path) -> str:
    """Return the secret in this file. Create the file with mode 0600 if it is missing. Raises OSError.

    Several processes may start at the same time. Each writes a temporary file, and the first to link it to `path` wins.
    """
    try:
        return _read_secret(path)
    except FileNotFoundError:
        pass
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".secret_key-")  # mkstemp uses mode 0600
    try:
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(48))
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        os.unlink(temporary)
    return _read_secret(path)


def _read_secret(path: Path) -> str:
    secret = path.read_text().strip()
    if not secret:  # never written empty by post3; a new secret would silently make every API key unreadable
        raise OSError(0, "the file is empty")
    return secret
