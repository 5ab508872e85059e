"""How many requests one API key may make: a token bucket for each, in this server process.

The bucket holds a second's worth, one request at least. It is kept as one number, the moment at which it will be full again:
a request moves that moment on by what one request costs, and is refused where the bucket would be overdrawn. It is spent after
the signature is verified, so that who only knows somebody's access key cannot use up what its holder may do.
"""

import threading
import time
from functools import cache

from ..conf import conf
from ..errors import SlowDown

#: Keys a process remembers; one with a full bucket needs no remembering.
ENTRIES = 1024


class RateLimit:
    """At most `rate` requests a second of each key; what was not used in the last second may come at once."""

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
        """Drop full buckets or, where none is full, the one spent from longest ago."""
        for access_key in [name for name, full_at in self._full_at.items() if full_at <= now]:
            del self._full_at[access_key]
        if len(self._full_at) >= ENTRIES:
            del self._full_at[next(iter(self._full_at))]


@cache
def _limit() -> RateLimit | None:
    """The limit of POST3_KEY_REQUESTS_PER_SECOND; None: there is none."""
    return RateLimit(conf.KEY_REQUESTS_PER_SECOND) if conf.KEY_REQUESTS_PER_SECOND > 0 else None


def spend_request(access_key: str) -> None:
    """Count a request of that key. Raises SlowDown where it makes too many."""
    limit = _limit()
    if limit is not None and not limit.spend(access_key):
        raise SlowDown(retry_after=1)
