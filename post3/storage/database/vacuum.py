"""Room of deleted blocks made usable again, by the worker that deleted them.

PostgreSQL gives the room of a deleted row to new ones only after a vacuum. Autovacuum comes by once a minute at best, and what is
overwritten meanwhile makes the table grow: by some gigabytes, for good, at a disk's speed. A worker knows what it deleted,
and vacuums after so much of it that the cost is small beside that of deleting: on a thread and a connection of its own, because
deleting must go on meanwhile. Autovacuum (migration 0006) does the rest.
"""

import logging
import threading

from django.db import Error, connection

from ..base import MIB

logger = logging.getLogger(__name__)

#: Bytes deleted, and the part of the table that they must be: a vacuum reads the whole index of the blocks' pieces.
MIN_FREED, PART = 512 * MIB, 20

SIZE = "SELECT pg_total_relation_size('post3_block')"
# Skipped where somebody vacuums the table already. Without delays: under load it takes long enough, and what is overwritten
# meanwhile adds to the table. It gives nothing back to the file system, for which it would have to keep readers out; autovacuum
# does so when there is time.
VACUUM = "VACUUM (SKIP_LOCKED, TRUNCATE false) post3_block"


class Vacuum:
    """What this process deleted since its last vacuum."""

    def __init__(self) -> None:
        self._freed, self._needed = 0, MIN_FREED
        self._thread: threading.Thread | None = None

    def note(self, freed: int) -> None:
        """Note so many bytes as deleted, and begin to vacuum where that is enough and no vacuum is under way."""
        self._freed += freed
        if connection.vendor == "postgresql" and self._freed >= self._needed and not self.is_running:
            # A daemon: a worker that ends does not wait for it, and PostgreSQL gives it up.
            self._thread = threading.Thread(target=self._run, name="post3-vacuum", daemon=True)
            self._thread.start()

    @property
    def is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _run(self) -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute(SIZE)
                self._needed = max(MIN_FREED, cursor.fetchone()[0] // PART)
                if self._freed < self._needed:
                    return
                self._freed = 0
                cursor.execute(VACUUM)
        except Error as error:
            logger.warning("The blocks' table could not be vacuumed, which is left to autovacuum: %s", error)
        finally:
            connection.close()
