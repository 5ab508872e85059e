"""The ids of new versions."""

import secrets
import time

from ..catalogue.buckets import BucketState
from ..catalogue.rows import NULL, ObjectRef
from ..models import Bucket


def version_for(bucket: BucketState, key: str) -> ObjectRef:
    """Return the version that the next write of a key creates: a new one if versioning is enabled, else "null"."""
    return ObjectRef(bucket, key, new_version_id() if bucket.versioning == Bucket.Versioning.ENABLED else NULL)


def new_version_id() -> str:
    """Return 32 hexadecimal digits: the time, which makes new versions adjacent in the index, and random digits."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"
