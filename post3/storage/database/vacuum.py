"""Reclaim space from deleted blocks, in the worker that deleted them.

PostgreSQL reuses the space of deleted rows only after a vacuum. Autovacuum runs once a minute at most, and until then
overwriting objects makes the table grow at disk speed, permanently and by several gigabytes. A worker knows how much it
deleted, and vacuums after deleting so much that a vacuum costs little in comparison. The vacuum has a separate thread
and connection, because deleting must continue meanwhile. Autovacuum (`migrations/_rules.py`) does the rest.
"""

import logging
import threading

from django.db import Error, connection

from ..base import MIB

logger = logging.getLogger(__name__)

#: A vacuum starts after MIN_FREED deleted bytes that are also 1/PART of the table: it reads the whole TOAST index.
MIN_FREED, PART = 512 * MIB, 20

SIZE = "SELECT pg_total_relation_size('post3_block')"
# Skipped if another process is vacuuming the table already. Without delays: under load a vacuum takes long enough, and
# whatever is overwritten meanwhile adds to the table. It returns no space to the file system, which would require
# locking out readers; autovacuum does that when there is time.
VACUUM = "VACUUM (SKIP_LOCKED, TRUNCATE false) post3_block"


class Vacuum:
    """The bytes that this process has deleted since its last vacuum."""

    def __init__(self) -> None:
        self._freed, self._needed = 0, MIN_FREED
        self._thread: threading.Thread | None = None

    def note(self, freed: int) -> None:
        """Note that `freed` bytes were deleted; start a vacuum if that is enough and none is running."""
        self._freed += freed
        if connection.vendor == "postgresql" and self._freed >= self._needed and not self.is_running:
            # A daemon thread: a worker that ends does not wait for it, and PostgreSQL cancels the vacuum.
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
