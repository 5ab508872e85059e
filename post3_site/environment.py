"""What the environment says, as typed values; what is wrong with it is collected, never raised.

Settings that raise while being imported show a traceback, and only the first fault. Here every wrong value becomes a
sentence that says what to write, and the value is replaced by one that does no harm; `post3_site/checks.py` turns the
sentences into system checks, which stop every way of starting the site.
"""

import contextlib
import os
import secrets
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dj_database_url

from post3.conf import find_disorder
from post3.declaring import Problem, Setting, declared, misspelt

#: Names beginning with `POST3_` that others read: the SDK, compose.yaml.
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
#: Django's own, with the catalogue's file kept private.
SQLITE_ENGINE = "post3_site.sqlite3"

#: What libpq does with a PostgreSQL host that swallows packets: seconds until a connection is given up that cannot be made, and
#: about 25 until one that was made. Without, threads would wait for minutes and hours. A DATABASE_URL may name others.
PATIENCE = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}


#: Stands in for a database that DATABASE_URL does not name.
UNUSABLE = {"ENGINE": "django.db.backends.dummy"}


class Environment:
    """Typed look-ups in a mapping of texts. An empty value counts as none."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self.problems: list[Problem] = []

    def problem(self, check_id: str, message: str, hint: str) -> None:
        self.problems.append(Problem(check_id, message, hint))

    def text(self, name: str, default: str = "") -> str:
        return self._values.get(name, "").strip() or default

    def read(self, setting: Setting) -> Any:
        """Return a setting's value: what the environment says where that is right, else the default."""
        text = self.text(setting.name)
        if not text:
            return setting.default
        try:
            value = CONVERT[setting.kind](text)
        except ValueError:
            self.problems.append(_unreadable(setting, text))
            return setting.default
        if found := setting.problem(value):
            self.problems.append(found)
            return setting.default
        return value

    def given(self, owner: type) -> dict[str, Any]:
        """Return, by their full names, those settings of a class that the environment holds; wrong ones are left out."""
        values: dict[str, Any] = {}
        for setting in declared(owner):
            if setting.kind in CONVERT and self.text(setting.name):
                told = len(self.problems)
                value = self.read(setting)
                if len(self.problems) == told:
                    values[setting.name] = value
        return values

    def check_order(self, given: Mapping[str, Any], owner: type) -> None:
        """Note which settings of a class do not fit together; of those that the environment does not hold, the defaults count."""
        defaults = {setting.name: setting.default for setting in declared(owner) if not self.text(setting.name)}
        self.problems += find_disorder({**defaults, **given})

    def check_names(self, *owners: type) -> None:
        """Note what is nearly the name of a setting of these classes."""
        known = {setting.name for owner in owners for setting in declared(owner) if setting.kind in CONVERT}
        self.problems += misspelt([name for name in self._values if self.text(name)], known | OTHERS)

    def database(self, setting: Setting, default_path: Path) -> dict[str, Any]:
        """Return Django's settings of the database that a URL names, or of SQLite at `default_path`.

        Connections stay open (CONN_MAX_AGE None): each worker thread keeps its own, and opening one per request
        costs more than most requests. CONN_HEALTH_CHECKS stays off: it would double the statements of a GET, and a
        connection that failed is replaced after the request that found out.
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
            database = dict(dj_database_url.parse(url))
        except ValueError:  # the URL is not repeated: it may hold a password
            self.problem("post3.E005", f"{name} is not the URL of a database.", hint)
            return UNUSABLE
        if urlsplit(url).scheme not in DATABASE_SCHEMES or not database.get("NAME"):
            self.problem("post3.E005", f"{name} names no PostgreSQL or SQLite database.", hint)
            return UNUSABLE
        options = database.get("OPTIONS", {})
        if database["ENGINE"].endswith("sqlite3"):
            return {**database, **common, "ENGINE": SQLITE_ENGINE, "OPTIONS": sqlite_options(options)}
        # No `prepare_threshold`: behind a pooler, psycopg's names for statements would mean those of others. Ours do not (D58).
        return {**database, **common, "OPTIONS": {**PATIENCE, **options}}

    def check_directory(self, setting: Setting, path: Path) -> None:
        """Note where a directory cannot be made or written to. It is not made: only a command that makes a store does that."""
        existing = path
        while not existing.exists() and existing != existing.parent:
            existing = existing.parent
        hint = f"Write {setting.name}=<a directory that this user may write to>."
        if not existing.is_dir():
            self.problem("post3.E007", f"The data directory {path} cannot be made: {existing} is not a directory.", hint)
        elif not os.access(existing, os.W_OK | os.X_OK):
            self.problem("post3.E007", f"The data directory {path} cannot be used: {existing} is not writable.", hint)

    def secret(self, setting: Setting, kept_in: Path | None, database: Mapping[str, Any]) -> tuple[str, str]:
        """Return the site's secret and, where it is the one kept in that file or is yet to be kept there, the file's path.

        Where there is none, or something is wrong, the secret is one for the moment: a problem, or that there is no store, ends
        the process before anything is signed or encrypted.
        """
        given = self.read(setting)
        if given or self.text(setting.name):
            return given or secrets.token_urlsafe(48), ""
        if kept_in is None:
            if database != UNUSABLE:
                message = f"{setting.name} is not set, and this database is not the embedded one."
                self.problem(setting.check_id, message, f"Write {setting.name}=<{setting.write}>.")
            return secrets.token_urlsafe(48), ""
        try:
            return _read_secret(kept_in), str(kept_in)
        except FileNotFoundError:
            if Path(str(database["NAME"])).is_file():
                # A secret made anew would silently orphan every API key.
                message = f"{setting.name} is not set, and {kept_in} is missing beside a catalogue that exists."
                self.problem(setting.check_id, message, f"Restore the file, or write {setting.name}=<the secret that was in it>.")
        except OSError as error:
            if not any(problem.check_id == "post3.E007" for problem in self.problems):
                message = f"{setting.name} is not set, and {kept_in} cannot be read: {error.strerror}."
                self.problem(setting.check_id, message, f"Restore the file, or write {setting.name}=<the secret that was in it>.")
        return secrets.token_urlsafe(48), str(kept_in)


def _unreadable(setting: Setting, text: str) -> Problem:
    """Return the problem of a text that is no value of the setting's type."""
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


#: How the texts of the environment become values, by the type of the setting.
CONVERT: dict[Any, Callable[[str], Any]] = {bool: _boolean, int: int, float: float, str: str, list[str]: _list}


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of a right `host:port`."""
    parts = urlsplit(f"//{text}")
    return parts.hostname or "", parts.port or 0


def sqlite_options(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return Django's OPTIONS for a SQLite catalogue.

    IMMEDIATE: a transaction that reads first and then writes would fail with "database is locked" at once, whatever the
    timeout. WAL: readers do not wait for the writer. FULL: what was acknowledged survives a power cut; under WAL the
    default, NORMAL, would not sync at commit. No mmap_size and no larger
    cache_size: each is a connection's own, so a process would grow by it times the threads (729 MiB were seen).
    """
    pragmas = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL"
    return {"transaction_mode": "IMMEDIATE", "timeout": 30, "init_command": pragmas, **options}


def kept_secret(path: Path) -> str:
    """Return the secret in that file; make it, with mode 0600, where there is none. Raises OSError.

    Several processes may start at once: each writes a file of its own, and the first to link it to the name wins.
    """
    try:
        return _read_secret(path)
    except FileNotFoundError:
        pass
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".secret_key-")  # mkstemp makes it 0600
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
    if not secret:  # never made so by us; a secret made anew would silently orphan every API key
        raise OSError(0, "the file is empty")
    return secret
