"""Whether the catalogue is there and of this release: asked once by what starts, and by readiness.

Only `migrate` (and so `serve`) makes a catalogue. SQLite makes a missing file when it is opened, so a command that was
started in another directory would find a new, empty store; it is asked for before anything connects.
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
    """The catalogue cannot be used; says what to do."""


class CatalogueIsNewer(CatalogueFault):
    """A newer release has migrated the catalogue."""


def require_catalogue() -> None:
    """Raise CatalogueFault if there is no catalogue of this release, DatabaseError if it cannot be reached."""
    require_file()
    require_tables()


def require_file() -> None:
    """Raise CatalogueFault where the catalogue is a SQLite file that does not exist."""
    path = sqlite_path(_connection().settings_dict)
    if path is not None and not path.exists():
        where = ", or set POST3_DATA_DIR to where it is" if hasattr(settings, "POST3_DATA_DIR") else ""
        raise CatalogueFault(
            f"There is no store here: {path} does not exist. Start in the directory of the store{where}; "
            "`migrate` makes a new one."
        )


def require_tables() -> None:
    """Raise CatalogueFault where the tables are missing, or of another release."""
    applied = {name for app, name in MigrationRecorder(_connection()).applied_migrations() if app == "post3"}
    if not applied:
        raise CatalogueFault("The database has no tables of post3. Run `migrate`, or name the right database.")
    if missing := _known() - applied:
        raise CatalogueFault(f"The database is of an older release ({min(missing)} is missing). Run `migrate`.")
    if newer := {name for name in applied if name > max(_known())}:
        raise CatalogueIsNewer(f"The database is of a newer release ({max(newer)} was applied). Install that release of post3.")


def sqlite_path(database: dict[str, Any]) -> Path | None:
    """Return the file of a SQLite database; None where it is another database, or one in memory."""
    name = str(database.get("NAME") or "")
    if not database["ENGINE"].endswith("sqlite3") or not name or name == ":memory:" or name.startswith("file:"):
        return None
    return Path(name)


@cache
def _known() -> set[str]:
    return {module.name for module in iter_modules(migrations.__path__) if not module.name.startswith("_")}


def _connection() -> Any:
    return connections[router.db_for_write(Object)]
