"""What the environment says, as typed values; what is wrong with it is collected, never raised.

Settings that raise while being imported show a traceback, and only the first fault. Here every wrong value becomes a
sentence that says what to write, and the value is replaced by one that does no harm; `post3_site/checks.py` turns the
sentences into system checks, which stop every way of starting the site.
"""

import contextlib
import os
import secrets
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dj_database_url

TRUE, FALSE = {"1", "true", "yes", "on"}, {"0", "false", "no", "off"}
DATABASE_SCHEMES = {"postgres", "postgresql", "pgsql", "sqlite"}


#: What libpq does with a PostgreSQL host that swallows packets: seconds until a connection is given up that cannot be made, and
#: about 25 until one that was made. Without, threads would wait for minutes and hours. A DATABASE_URL may name others.
PATIENCE = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}


class Environment:
    """Typed look-ups in a mapping of texts. An empty value counts as none."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        #: (check id, what is wrong, what to write)
        self.problems: list[tuple[str, str, str]] = []

    def problem(self, check_id: str, message: str, hint: str) -> None:
        self.problems.append((check_id, message, hint))

    def text(self, name: str, default: str = "") -> str:
        return self._values.get(name, "").strip() or default

    def list(self, name: str, default: str = "") -> list[str]:
        return [part.strip() for part in self.text(name, default).split(",") if part.strip()]

    def boolean(self, name: str, default: bool) -> bool:
        value = self.text(name).lower()
        if value and value not in TRUE | FALSE:
            self.problem("post3.E001", f"{name} is {value!r}.", f"Write {name}=1 or {name}=0.")
        return default if value not in TRUE | FALSE else value in TRUE

    def choice(self, name: str, choices: tuple[str, ...], default: str) -> str:
        value = self.text(name, default)
        if value in choices:
            return value
        self.problem(
            "post3.E002", f"{name} is {value!r}.", "Write " + " or ".join(f"{name}={choice}" for choice in choices) + "."
        )
        return default

    def scalars(self, annotations: Mapping[str, Any]) -> dict[str, Any]:
        """Return POST3_<NAME> for those names that the environment holds, as the type annotated: bool, int, float or str."""
        values: dict[str, Any] = {}
        for name, kind in annotations.items():
            variable = f"POST3_{name}"
            if kind not in (bool, int, float, str) or not (value := self.text(variable)):
                continue
            if kind is bool:
                values[variable] = self.boolean(variable, False)
                continue
            try:
                values[variable] = kind(value)
            except ValueError:
                number = "a whole number" if kind is int else "a number"
                self.problem("post3.E003", f"{variable} is {value!r}.", f"Write {number}, in digits, or leave {variable} out.")
        return values

    def address(self, name: str, default: str) -> tuple[str, int]:
        """Return host and port of `host:port`; an IPv6 host stands in brackets."""
        value = self.text(name, default)
        try:
            parts = urlsplit(f"//{value}")
            if parts.hostname and parts.port and parts.netloc == value and "@" not in value:
                return parts.hostname, parts.port
        except ValueError:
            pass  # a port that is no number or beyond 65535, or brackets that do not close
        self.problem(
            "post3.E004", f"{name} is {value!r}.", f"Write {name}=host:port, like {name}={default}, or {name}=[::1]:9000."
        )
        host, _, port = default.rpartition(":")
        return host, int(port)

    def database(self, name: str, default_path: Path) -> dict[str, Any]:
        """Return Django's settings of the database that a URL names, or of SQLite at `default_path`.

        Connections stay open (CONN_MAX_AGE None): each worker thread keeps its own, and opening one per request
        costs more than most requests. CONN_HEALTH_CHECKS stays off: it would double the statements of a GET, and a
        connection that failed is replaced after the request that found out.
        """
        url = self.text(name)
        common = {"CONN_MAX_AGE": None}
        if not url:
            return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(default_path), **common, "OPTIONS": sqlite_options({})}
        hint = (
            f"Write {name}=postgresql://user:password@host:5432/name, with special characters percent-encoded, "
            f"or leave {name} out for SQLite."
        )
        try:
            database = dict(dj_database_url.parse(url))
        except ValueError:  # the URL is not repeated: it may hold a password
            self.problem("post3.E005", f"{name} is not the URL of a database.", hint)
            return {}
        if urlsplit(url).scheme not in DATABASE_SCHEMES or not database.get("NAME"):
            self.problem("post3.E005", f"{name} names no PostgreSQL or SQLite database.", hint)
            return {}
        options = database.get("OPTIONS", {})
        if database["ENGINE"].endswith("sqlite3"):
            return {**database, **common, "OPTIONS": sqlite_options(options)}
        # No `prepare_threshold`: behind a pooler, psycopg's names for statements would mean those of others. Ours do not (D58).
        return {**database, **common, "OPTIONS": {**PATIENCE, **options}}

    def secret(self, name: str, kept_in: Path | None) -> str:
        """Return the site's secret; where there is none, the one kept in that file, made at first use."""
        value = self.text(name)
        if value:
            return value
        hint = f"Write {name}=<50 or more random characters>, the same for all processes, and keep it: it opens the API keys."
        if kept_in is None:
            self.problem("post3.E006", f"{name} is not set, and this database is not the embedded one.", hint)
            return ""
        try:
            return kept_secret(kept_in)
        except OSError as error:
            self.problem("post3.E006", f"{name} is not set, and none can be kept in {kept_in}: {error.strerror}.", hint)
            return ""


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
