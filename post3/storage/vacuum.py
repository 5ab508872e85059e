"""Room of deleted blocks made usable again, by the worker that deleted them.

PostgreSQL gives the room of a deleted row to new ones only after a vacuum. Autovacuum comes by once a minute at best, and what is
overwritten meanwhile makes the table grow: by some gigabytes, for good, at a disk's speed. A worker knows what it deleted,
and vacuums after so much of it that the cost is small beside that of deleting. Autovacuum (migration 0006) does the rest.
"""

import logging
from typing import Any

from .base import MIB

logger = logging.getLogger(__name__)

#: Bytes deleted, and the part of the table that they must be: a vacuum reads the whole index of the blocks' pieces.
LEAST, PART = 512 * MIB, 50

SIZE = "SELECT pg_total_relation_size('post3_block')"
# Skipped where somebody vacuums the table already.
VACUUM = "VACUUM (SKIP_LOCKED) post3_block"
#: As gently as autovacuum does it (migration 0006).
GENTLY = ("SET vacuum_cost_delay = '2ms'", "SET vacuum_cost_limit = 1000")
AS_BEFORE = ("RESET vacuum_cost_delay", "RESET vacuum_cost_limit")


class Vacuum:
    """What was deleted since the last vacuum, by this process."""

    def __init__(self) -> None:
        self._freed = 0

    def note(self, database: Any, freed: int) -> bool:
        """Note so many bytes as deleted, and vacuum where that is enough; return whether it did. Raises database errors.

        Outside transactions only, as a vacuum must be; elsewhere the bytes are noted for the next time.
        """
        self._freed += freed
        if database.vendor != "postgresql" or database.in_atomic_block or self._freed < LEAST:
            return False
        with database.cursor() as cursor:
            cursor.execute(SIZE)
            if self._freed * PART < cursor.fetchone()[0]:
                return False
            self._freed = 0
            for statement in GENTLY:
                cursor.execute(statement)
            try:
                cursor.execute(VACUUM)
            finally:
                if database.connection is not None:
                    for statement in AS_BEFORE:
                        cursor.execute(statement)
        return True
