"""Buckets."""

import time

from django.conf import settings
from django.db import models

from .deleting import protect
from .fields import ByteOrderedField


def new_config_version() -> int:
    """Return microseconds since 1970, so that a bucket with a reused id, as after a restore, has another version."""
    return time.time_ns() // 1000


class Bucket(models.Model):
    """A bucket and its settings. Its name is unique in the installation, as in an AWS partition.

    Settings that requests depend on are also declared in `catalogue.buckets.BucketState`.
    """

    class Versioning(models.TextChoices):
        NEVER = "", "never enabled"
        ENABLED = "Enabled", "enabled"
        SUSPENDED = "Suspended", "suspended"

    name = ByteOrderedField(unique=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=protect, related_name="post3_buckets")
    region = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)
    versioning = models.CharField(max_length=9, choices=Versioning, default=Versioning.NEVER, db_default="", blank=True)
    #: A trigger increments it with every change of the row (`migrations/_triggers.py`). The statements of requests
    #: compare it, so that no process uses outdated settings.
    config_version = models.BigIntegerField(default=new_config_version, db_default=1, editable=False)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
