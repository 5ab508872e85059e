"""What background work remembers and tells: where it stands, and how much it did since the catalogue was made."""

from django.db import models


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
