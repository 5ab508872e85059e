"""What background work remembers and tells: where it stands, and how much it did since the catalogue was made."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.db import models

from ..db.sql import execute, timestamp


class WorkerState(models.Model):
    """One kind of background work, by name; shared by all workers."""

    name = models.CharField(max_length=64, unique=True)
    #: Of work that goes through the catalogue round and round: the id of the last blob done.
    position = models.BigIntegerField(default=0)
    #: Things done, and their bytes.
    count = models.BigIntegerField(default=0)
    size = models.BigIntegerField(default=0)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


def add_work(done: Mapping[str, tuple[int, int]]) -> None:
    """Add to the counts and bytes of these kinds of work, in one statement."""
    if not done:
        return
    now, parameters = timestamp(datetime.now(UTC)), list[Any]()
    for name, (count, size) in sorted(done.items()):  # one order for all workers, so that none waits for another in a circle
        parameters += [name, count, size, now]
    execute(
        "INSERT INTO post3_workerstate (name, position, count, size, updated_at) "
        f"VALUES {', '.join(['(%s, 0, %s, %s, %s)'] * len(done))} ON CONFLICT (name) DO UPDATE SET "
        "count = post3_workerstate.count + excluded.count, size = post3_workerstate.size + excluded.size, "
        "updated_at = excluded.updated_at",
        parameters,
    )
