"""Buckets, read by hand-written statements."""

from ..db.sql import fetch
from ..errors import NoSuchBucket
from .rows import BucketRow


def find_bucket(name: str) -> BucketRow:
    """Return a bucket. Raises NoSuchBucket."""
    rows = fetch("SELECT id, name, owner_id, region FROM post3_bucket WHERE name = %s", [name])
    if not rows:
        raise NoSuchBucket(BucketName=name)
    return BucketRow(*rows[0])
