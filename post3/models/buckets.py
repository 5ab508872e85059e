"""Buckets."""

from django.conf import settings
from django.db import models

from .deleting import protect
from .fields import ByteOrderedField


class Bucket(models.Model):
    """A bucket. Its name is unique in the installation, as in an AWS partition."""

    name = ByteOrderedField(unique=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=protect, related_name="post3_buckets")
    region = models.CharField(max_length=64)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
