"""Who may do what."""

from ..errors import AccessDenied
from .access import Identity, canonical_id
from .buckets import find_bucket


def authorise(identity: Identity | None, permission: str) -> None:
    """Let a request go on, or raise AccessDenied.

    Every active key may do everything; `permission` is the IAM action that the operation takes.
    """
    if identity is None:
        raise AccessDenied()


def check_expected_owner(bucket: str, owner_id: str) -> None:
    """Raise AccessDenied where a bucket is not owned by who the client expects (`x-amz-expected-bucket-owner`)."""
    if canonical_id(find_bucket(bucket).owner_id) != owner_id:
        raise AccessDenied()
