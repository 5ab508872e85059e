"""The rate limit of requests per API key: a token bucket for each key, in this server process.

A bucket holds the requests of one second, and at least one. It is stored as one number, the moment when it will be full
again. A request moves this moment forward by the cost of one request, and is refused if the bucket does not hold that
much. Requests are counted after the signature is verified, so that knowing an access key is not enough to exhaust its
limit.
"""

import threading
import time
from functools import cache

from ..conf import conf
from ..errors import SlowDown

#: How many keys a process remembers. Keys with a full bucket need not be remembered.
ENTRIES = 1024


class RateLimit:
    """At most `rate` requests per second for each key. Requests not made in the last second may come in a burst."""

    def __init__(self, rate: float) -> None:
        self._interval = 1 / rate
        self._depth = max(1.0, self._interval)
        self._full_at: dict[str, float] = {}
        self._lock = threading.Lock()

    def spend(self, access_key: str) -> bool:
        """Take a request out of the key's bucket; return whether it held one."""
        now = time.monotonic()
        with self._lock:
            full_at = max(self._full_at.pop(access_key, now), now) + self._interval
            allowed = full_at - now <= self._depth + 1e-9
            if len(self._full_at) >= ENTRIES:
                self._forget(now)
            self._full_at[access_key] = full_at if allowed else full_at - self._interval
        return allowed

    def _forget(self, now: float) -> None:
        """Drop full buckets or, if none is full, the least recently used one."""
        for access_key in [name for name, full_at in self._full_at.items() if full_at <= now]:
            del self._full_at[access_key]
        if len(self._full_at) >= ENTRIES:
            del self._full_at[next(iter(self._full_at))]


@cache
def _limit() -> RateLimit | None:
    """Return the limit set by POST3_KEY_REQUESTS_PER_SECOND, or None."""
    return RateLimit(conf.KEY_REQUESTS_PER_SECOND) if conf.KEY_REQUESTS_PER_SECOND > 0 else None


def spend_request(access_key: str) -> None:
    """Count a request of that key. Raises SlowDown if it makes too many."""
    limit = _limit()
    if limit is not None and not limit.spend(access_key):
        raise SlowDown(retry_after=1)
