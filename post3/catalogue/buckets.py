"""Buckets and their settings, which each process keeps in memory.

A state that is out of date has no effect. The statements of requests contain its `config_version`, and BucketChanged is
raised if the row has another one. The state is then loaded again, and the request starts again with authorization.
"""

import threading
from dataclasses import dataclass, fields

from ..db.sql import fetch
from ..errors import NoSuchBucket

#: The number of states that a process keeps.
CACHE_ENTRIES = 1024


@dataclass(frozen=True, slots=True)
class BucketState:
    """The columns of `post3_bucket` that requests depend on, each declared only here."""

    id: int
    name: str
    owner_id: int
    region: str
    #: A `Bucket.Versioning`.
    versioning: str
    #: Increases with every change of the other columns.
    config_version: int


class BucketChanged(Exception):
    """The bucket no longer matches its state: a setting was changed, or it was deleted. Nothing was written."""


_SELECT = f"SELECT {', '.join(field.name for field in fields(BucketState))} FROM post3_bucket WHERE name = %s"

_cache: dict[str, BucketState] = {}
_lock = threading.Lock()


def load_bucket(name: str) -> BucketState:
    """Load a bucket's state from the catalogue, and keep it in memory. Raises NoSuchBucket."""
    rows = fetch(_SELECT, [name])
    if not rows:
        with _lock:
            _cache.pop(name, None)
        raise NoSuchBucket(BucketName=name)
    state = BucketState(*rows[0])
    with _lock:
        _cache.pop(name, None)
        while len(_cache) >= CACHE_ENTRIES:
            del _cache[next(iter(_cache))]  # the least recently loaded
        _cache[name] = state
    return state


def known_bucket(name: str) -> BucketState | None:
    """Return the state in memory, which may be out of date; None if there is none."""
    return _cache.get(name)  # without the lock: a dictionary's `get` is atomic


def check_current(state: BucketState, config_version: int | None) -> None:
    """Raise BucketChanged unless a statement found the state's version. None means that it found no bucket."""
    if config_version != state.config_version:
        raise BucketChanged(state.name)
