"""Check that the catalogue exists and belongs to this release, once at the start of a process and for readiness.

Only `migrate` (and therefore `serve`) creates a catalogue. SQLite creates a missing file when it connects, so a command
started in the wrong directory would find a new, empty store. The file is therefore checked before anything connects.
"""

from functools import cache
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

from django.conf import settings
from django.db import connections, router
from django.db.migrations.recorder import MigrationRecorder

from .. import migrations
from ..models import Object


class CatalogueFault(Exception):
    """The catalogue cannot be used. The message says how to fix this."""


class CatalogueIsNewer(CatalogueFault):
    """A newer release has migrated the catalogue."""


def require_catalogue() -> None:
    """Raise CatalogueFault if there is no catalogue of this release, DatabaseError if it cannot be reached."""
    require_file()
    require_tables()


def require_file() -> None:
    """Raise CatalogueFault if the catalogue is a SQLite file that does not exist."""
    path = sqlite_path(_connection().settings_dict)
    if path is not None and not path.exists():
        where = ", set POST3_DATA_DIR" if hasattr(settings, "POST3_DATA_DIR") else ""
        raise CatalogueFault(
            f"There is no store here: {path} does not exist. Run the command in the store's directory{where}, "
            "or create a store with `migrate`."
        )


def require_tables() -> None:
    """Raise CatalogueFault if the tables are missing or belong to another release."""
    applied = {name for app, name in MigrationRecorder(_connection()).applied_migrations() if app == "post3"}
    if not applied:
        raise CatalogueFault("The database has no post3 tables. Run `migrate`, or configure the right database.")
    if missing := _known() - applied:
        first = min(missing, key=_position)
        raise CatalogueFault(f"The database belongs to an older release (migration {first} is missing). Run `migrate`.")
    last = max(map(_position, _known()))
    if newer := {name for name in applied if _position(name) > last}:
        name = max(newer, key=_position)
        raise CatalogueIsNewer(
            f"The database belongs to a newer release of post3 (migration {name} was applied). Install that release."
        )


def sqlite_path(database: dict[str, Any]) -> Path | None:
    """Return the file of a SQLite database; None if the database is in memory or not SQLite."""
    name = str(database.get("NAME") or "")
    if not database["ENGINE"].endswith("sqlite3") or not name or name == ":memory:" or name.startswith("file:"):
        return None
    return Path(name)


@cache
def _known() -> set[str]:
    """Return the names of this release's migrations.

    They include a squashed migration (`0001_squashed_0014_…`) as well as those that it replaces. `migrate` records all
    of them, so that a later release can contain the squashed one alone.
    """
    return {module.name for module in iter_modules(migrations.__path__) if not module.name.startswith("_")}


def _position(migration: str) -> str:
    """Return a text that sorts as migrations are applied. A squashed migration has that of the last one it replaces."""
    return migration.rpartition("_squashed_")[2]


def _connection() -> Any:
    return connections[router.db_for_write(Object)]
