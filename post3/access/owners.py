"""Users as owners of buckets and objects: the ids and names that S3 and descriptions show."""

import hashlib
from functools import lru_cache

from django.contrib.auth import get_user_model


@lru_cache(maxsize=1024)
def canonical_id(user_id: int) -> str:
    """Return the id that S3 shows for a user: 64 hex digits that never change.

    There is no display name beside it: AWS stopped returning `DisplayName` in November 2025.
    """
    return hashlib.sha256(f"post3 canonical user id {user_id}".encode()).hexdigest()


@lru_cache(maxsize=1024)
def user_name(user_id: int) -> str:
    """Return a user's name, for descriptions; empty if there is no such user. It may be a name from before a change."""
    user_model = get_user_model()
    found = user_model._default_manager.filter(pk=user_id).values_list(user_model.USERNAME_FIELD, flat=True)
    return found.first() or ""
