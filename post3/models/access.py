"""API keys: what an S3 client signs with."""

from django.conf import settings
from django.db import models

from ..visible import visible


class ApiKey(models.Model):
    """An access key and its secret, belonging to a Django user. A revoked key stays a row, so that its name is never reused."""

    access_key = models.CharField(max_length=128, unique=True)
    #: The secret, encrypted under a key derived from the site's SECRET_KEY (access/keys.py).
    secret_encrypted = models.BinaryField()
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="post3_api_keys")
    name = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        verbose_name = "API key"
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return visible(f"{self.access_key} ({self.name})" if self.name else self.access_key)

    @property
    def is_active(self) -> bool:
        return self.revoked_at is None


class LoginAllowance(models.Model):
    """Until when something is remembered of logging in, by a digest of what it is: see `access/guesses.py`.

    Names and addresses themselves are not kept. A row of the past means nothing, and the worker removes it.
    """

    digest = models.CharField(max_length=64, primary_key=True)
    until = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.digest
