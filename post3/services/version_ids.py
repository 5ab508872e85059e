"""Version ids: which one a write of a key gets."""

import secrets
import time

from ..catalogue.buckets import BucketState
from ..catalogue.rows import NULL, ObjectRef
from ..models import Bucket


def version_for(bucket: BucketState, key: str) -> ObjectRef:
    """Return the version that the next write of a key makes: a new one where versioning is enabled, else "null"."""
    return ObjectRef(bucket, key, new_version_id() if bucket.versioning == Bucket.Versioning.ENABLED else NULL)


def new_version_id() -> str:
    """Return 32 hexadecimal digits: the time, so that a bucket's newest versions lie together in the index, and chance."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(10)}"
