"""The state of background work: its position, and totals since the catalogue was created."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.db import models

from ..db.sql import execute, timestamp


class WorkerState(models.Model):
    """The state of one kind of background work, shared by all workers."""

    name = models.CharField(max_length=64, unique=True)
    #: For work that cycles through the catalogue: the id of the last completed blob.
    position = models.BigIntegerField(default=0)
    #: Total number of processed items, and their bytes.
    count = models.BigIntegerField(default=0)
    size = models.BigIntegerField(default=0)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


def add_work(done: Mapping[str, tuple[int, int]]) -> None:
    """Add to the totals of these kinds of work, in one statement."""
    if not done:
        return
    now, parameters = timestamp(datetime.now(UTC)), list[Any]()
    for name, (count, size) in sorted(done.items()):  # the same order in all workers, to prevent deadlocks
        parameters += [name, count, size, now]
    execute(
        "INSERT INTO post3_workerstate (name, position, count, size, updated_at) "
        f"VALUES {', '.join(['(%s, 0, %s, %s, %s)'] * len(done))} ON CONFLICT (name) DO UPDATE SET "
        "count = post3_workerstate.count + excluded.count, size = post3_workerstate.size + excluded.size, "
        "updated_at = excluded.updated_at",
        parameters,
    )
