"""Django's SQLite backend; the file it opens, which holds password hashes, is readable by its owner alone.

SQLite makes a database with mode 0644 less the umask, and the files beside it (`-wal`, `-shm`) with the database's own mode.
So the catalogue is made here, before SQLite opens it.
"""

import logging
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from django.db.backends.sqlite3 import base

logger = logging.getLogger("post3")

PRIVATE = 0o600
#: What users outside the file's group may do with it.
OTHERS = 0o007


class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        name = str(self.settings_dict["NAME"])
        if ":memory:" not in name and not name.startswith("file:"):
            keep_private(Path(name))
        return super().get_new_connection(conn_params)


def keep_private(catalogue: Path) -> None:
    """Make the catalogue with mode 0600 where it is missing; take it from other users where it was open to all.

    Access of its group alone is left as it is: that is an operator's doing, never the umask's. Where the file cannot be made or
    changed, SQLite reports why, or the warning does.
    """
    with suppress(OSError):
        os.close(os.open(catalogue, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE))
    for path in (catalogue, *(catalogue.with_name(catalogue.name + suffix) for suffix in ("-wal", "-shm"))):
        try:
            if path.stat().st_mode & OTHERS:
                path.chmod(PRIVATE)
                logger.warning("%s was readable by every user of this machine; it is now its owner's alone.", path)
        except FileNotFoundError:
            continue
        except OSError as error:
            logger.warning("%s is readable by every user of this machine, and cannot be kept from them: %s", path, error)
