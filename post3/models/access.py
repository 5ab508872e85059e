"""API keys, with which S3 clients sign requests, and the limits on guessing passwords."""

from django.conf import settings
from django.db import models

from ..visible import visible


class ApiKey(models.Model):
    """An access key and its secret, belonging to a Django user. A revoked key keeps its row, so it is never reused."""

    access_key = models.CharField(max_length=128, unique=True)
    #: The secret, encrypted with a key derived from the site's SECRET_KEY (access/keys.py).
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
    """A time that limits logins, by a digest of a user name, an address or both. See `access/guesses.py`.

    The names and addresses themselves are not stored. A row in the past has no effect, and the worker removes it.
    """

    digest = models.CharField(max_length=64, primary_key=True)
    until = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.digest
