"""Set and check what the catalogue's statements require of the database and of each connection.

PostgreSQL takes many settings from the database, the role or its configuration file. Some of them break statements that
are otherwise correct: another isolation level makes concurrent writers fail, another date style makes rows unreadable,
and `synchronous_commit = off` acknowledges data that a crash loses. `settle` sets these on each new connection. A
condition that cannot be set is a fault that `find_faults` returns: an encoding, an old release of PostgreSQL, a file
that cannot be written. A server does not start with a fault.

Behind a pooler, a connection's settings would apply to another client in the next transaction. There nothing is set,
and a wrong default is a fault (D75).
"""

import os
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import DEFAULT_DB_ALIAS, DatabaseError, OperationalError

#: The oldest supported release of PostgreSQL.
POSTGRESQL_VERSION = 15
#: PostgreSQL setting -> the value that statements rely on.
RELIED_ON = {
    "default_transaction_isolation": "read committed",
    "synchronous_commit": "on",
    "DateStyle": "ISO, MDY",
    "standard_conforming_strings": "on",
    "session_replication_role": "origin",
}
#: Limits intended for web applications, which would interrupt long listings, migrations and the worker's passes. Limits
#: in DATABASE_URL itself are kept.
LIMITS = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "transaction_timeout")


class UnfitDatabase(DatabaseError):
    """The database cannot hold the catalogue. The message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A reason why a database cannot hold the catalogue, and what to do."""

    text: str
    hint: str

    def __str__(self) -> str:
        return f"{self.text} {self.hint}"


def settle(sender: Any, connection: Any, **kwargs: Any) -> None:
    """Set what statements rely on, on each new connection to the catalogue. A receiver of `connection_created`.

    Raises UnfitDatabase, with the connection closed, if the database cannot hold the catalogue.
    """
    if connection.alias != DEFAULT_DB_ALIAS:
        return
    try:
        if connection.vendor == "postgresql":
            _settle_postgresql(connection)
        elif connection.vendor == "sqlite" and (fault := _sqlite_encoding(connection)):
            raise UnfitDatabase(str(fault))
    except BaseException:
        connection.close()
        raise


def find_faults(connection: Any) -> list[Fault]:
    """Return why this database cannot hold the catalogue. Raises OperationalError if it cannot be reached now."""
    if connection.vendor == "postgresql":
        return list(_faults_of_postgresql(connection))
    if connection.vendor == "sqlite":
        return list(_faults_of_sqlite(connection))
    return []


def _settle_postgresql(connection: Any) -> None:
    encoding, is_pooled, found = _session(connection)
    if fault := _wrong_encoding(encoding):
        raise UnfitDatabase(str(fault))
    wrong = _wrong(found) | _limits(connection, found)
    if not wrong or is_pooled:
        return
    calls = ", ".join(["set_config(%s, %s, false)"] * len(wrong))
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"SELECT {calls}", [text for pair in wrong.items() for text in pair])
    except OperationalError:
        raise
    except DatabaseError as error:
        reason = str(error).strip().splitlines()[0]
        raise UnfitDatabase(f"This connection cannot be given the settings that post3 needs: {reason}.") from error


def _session(connection: Any) -> tuple[str, bool, dict[str, str]]:
    """Return the database's encoding, whether a pooler is in between, and the current settings."""
    names = [*RELIED_ON, *LIMITS]
    # One statement, because each new connection pays this round trip. `true`: older releases lack some settings.
    values = ", ".join(f"current_setting('{name}', true)" for name in names)
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT pg_backend_pid(), current_setting('server_encoding'), {values}")
        pid, encoding, *found = cursor.fetchone()
    # A pooler cannot return the backend's process id, because the backend changes; it invents a number.
    is_pooled = connection.connection.pgconn.backend_pid != pid
    return encoding, is_pooled, {name: value for name, value in zip(names, found, strict=True) if value is not None}


def _wrong(found: dict[str, str]) -> dict[str, str]:
    """Return the settings that differ from what statements rely on, with the correct values."""
    return {name: value for name, value in RELIED_ON.items() if name in found and not _is_right(name, found[name])}


def _is_right(name: str, value: str) -> bool:
    if name == "synchronous_commit":
        return value != "off"  # all other values wait for this server's disk
    return value.startswith("ISO") if name == "DateStyle" else value == RELIED_ON[name]


def _limits(connection: Any, found: dict[str, str]) -> dict[str, str]:
    asked = str(connection.settings_dict["OPTIONS"].get("options", ""))
    return {name: "0" for name in LIMITS if found.get(name, "0") != "0" and name not in asked}


def _wrong_encoding(encoding: str) -> Fault | None:
    if encoding == "UTF8":
        return None
    return Fault(
        f"The database's encoding is {encoding}, which does not hold the keys of all objects.",
        "Create a database with ENCODING 'UTF8' TEMPLATE template0, and name it in DATABASE_URL.",
    )


def _faults_of_postgresql(connection: Any) -> Iterator[Fault]:
    release = connection.pg_version // 10000
    if release < POSTGRESQL_VERSION:
        yield Fault(
            f"This is PostgreSQL {release}.", f"Use PostgreSQL {POSTGRESQL_VERSION} or newer, and name it in DATABASE_URL."
        )
    encoding, is_pooled, found = _session(connection)
    if fault := _wrong_encoding(encoding):
        yield fault
    for name, value in _wrong(found).items():
        where = "Behind a pooler it cannot be set for each connection." if is_pooled else "post3 needs another value."
        yield Fault(
            f"The database's {name} is {found[name]!r}, not {value!r}. {where}",
            f"Run ALTER DATABASE … SET {name} = '{value}' (and ALTER ROLE … if the role has its own value).",
        )


def _faults_of_sqlite(connection: Any) -> Iterator[Fault]:
    path = str(connection.settings_dict["NAME"])
    if not os.path.isfile(path):
        return  # not created yet, or in memory
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT json_group_object('a', 1) FROM sqlite_master")
        yield from (fault for fault in (_sqlite_encoding(connection), _read_only(path)) if fault)
    except UnfitDatabase as error:
        yield Fault(str(error), "")
    except DatabaseError as error:
        if "locked" not in str(error):  # locked by a current writer
            hint = "Name another file in DATABASE_URL (or POST3_DATA_DIR), or make this one usable."
            yield Fault(f"The catalogue {path} cannot be used: {str(error).rstrip('.')}.", hint)


def _sqlite_encoding(connection: Any) -> Fault | None:
    with connection.cursor() as cursor:
        cursor.execute("PRAGMA encoding")
        (encoding,) = cursor.fetchone()
    if encoding == "UTF-8":
        return None
    return Fault(
        f"The catalogue's encoding is {encoding}, in which keys sort in another order than S3's.",
        "Name a new file in DATABASE_URL (or POST3_DATA_DIR): SQLite cannot change the encoding of this one.",
    )


def _read_only(path: str) -> Fault | None:
    """Return a fault if the file cannot be written. A lock held by a writer shows that it can."""
    probe = sqlite3.connect(path, timeout=0.5, isolation_level=None)
    try:
        probe.execute("BEGIN IMMEDIATE")
        probe.execute("ROLLBACK")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            hint = "Give the user that runs post3 permission to write to it and to its directory."
            return Fault(f"The catalogue {path} cannot be written to: {error}.", hint)
    finally:
        probe.close()
    return None
