"""Django's SQLite backend, with a database file that only its owner can read, because it contains password hashes.

SQLite creates a database with mode 0644 minus the umask, and its companion files (`-wal`, `-shm`) with the mode of the
database. Therefore this module creates the catalogue file before SQLite opens it.
"""

import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.db.backends.sqlite3 import base

logger = logging.getLogger("post3")

PRIVATE = 0o600
#: Permission bits of users outside the file's group.
OTHERS = 0o007


class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        name = str(self.settings_dict["NAME"])
        if ":memory:" not in name and not name.startswith("file:"):
            keep_private(Path(name))
        return super().get_new_connection(conn_params)


def keep_private(catalogue: Path) -> None:
    """Create the catalogue with mode 0600 if it is missing. If other users can access it, change its mode to 0600.

    Access for the group alone is left unchanged, because an operator must have granted it. If the file cannot be
    created or changed, SQLite or the warning reports the reason.
    """
    with suppress(OSError):
        os.close(os.open(catalogue, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE))
    for path in (catalogue, *(catalogue.with_name(catalogue.name + suffix) for suffix in ("-wal", "-shm"))):
        try:
            if path.stat().st_mode & OTHERS:
                path.chmod(PRIVATE)
                logger.warning("%s was accessible to all users of this machine. Its mode is now 0600.", path)
        except FileNotFoundError:
            continue
        except OSError as error:
            logger.warning("%s is accessible to all users of this machine, and its mode could not be changed: %s", path, error)
