"""Buckets and their settings, which each process keeps in memory.

A state in memory is never acted by when it is out of date: the statements of requests carry its `config_version` and
raise BucketChanged where the row has another one. Then the state is loaded again, and the request starts again from
authorisation.
"""

import threading
from dataclasses import dataclass, fields

from ..db.sql import fetch
from ..errors import NoSuchBucket

#: States that a process keeps.
CACHE_ENTRIES = 1024


@dataclass(frozen=True, slots=True)
class BucketState:
    """Everything that requests depend on about a bucket: columns of `post3_bucket`, each declared here once."""

    id: int
    name: str
    owner_id: int
    region: str
    #: A `Bucket.Versioning`.
    versioning: str
    #: Grows with every change of the other columns.
    config_version: int


class BucketChanged(Exception):
    """The bucket is not as its state says: a setting was changed, or the bucket was deleted. Nothing was written."""


_SELECT = f"SELECT {', '.join(field.name for field in fields(BucketState))} FROM post3_bucket WHERE name = %s"

_cache: dict[str, BucketState] = {}
_lock = threading.Lock()


def load_bucket(name: str) -> BucketState:
    """Read a bucket's state from the catalogue, and keep it. Raises NoSuchBucket."""
    rows = fetch(_SELECT, [name])
    if not rows:
        with _lock:
            _cache.pop(name, None)
        raise NoSuchBucket(BucketName=name)
    state = BucketState(*rows[0])
    with _lock:
        _cache.pop(name, None)
        while len(_cache) >= CACHE_ENTRIES:
            del _cache[next(iter(_cache))]  # the one loaded longest ago
        _cache[name] = state
    return state


def known_bucket(name: str) -> BucketState | None:
    """Return the state in memory, which may be out of date; None if there is none."""
    return _cache.get(name)  # without the lock: a dictionary's `get` is atomic


def check_current(state: BucketState, config_version: int | None) -> None:
    """Raise BucketChanged unless a statement found the version of the state; None stands for no bucket."""
    if config_version != state.config_version:
        raise BucketChanged(state.name)
