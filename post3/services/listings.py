"""List objects: pages in key order, rolled up by a delimiter."""

from dataclasses import dataclass

from ..access.permissions import Grant
from ..catalogue.listing import list_objects as list_rows
from ..catalogue.listing import successor
from ..catalogue.rows import CommonPrefix, ListedObject
from .buckets import region_of
from .renewing import refresh, renewing


@dataclass(frozen=True, slots=True)
class Listing:
    """One page. `last` is its last key or common prefix, after which the next page starts."""

    #: Of the bucket.
    region: str
    entries: list[ListedObject | CommonPrefix]
    is_truncated: bool
    last: str


@renewing
def list_objects(grant: Grant, prefix: str, delimiter: str, after: str, limit: int, skip_marker_prefix: bool) -> Listing:
    """Return up to `limit` keys and common prefixes after `after`. Raises NoSuchBucket.

    `skip_marker_prefix`: if `after` is within a common prefix, skip all keys with that prefix (B039).
    """
    region = region_of(grant.bucket.region)
    start = _start(prefix, delimiter, after, skip_marker_prefix)
    if limit == 0 or start is None:
        refresh(grant)
        return Listing(region, [], False, "")
    entries = list_rows(grant.bucket, prefix, delimiter, start, limit + 1)
    page = entries[:limit]
    return Listing(region, page, len(entries) > limit, name_of(page[-1]) if page else "")


def name_of(entry: ListedObject | CommonPrefix) -> str:
    """Return the key of an object, or the prefix of a common prefix."""
    return entry.prefix if isinstance(entry, CommonPrefix) else entry.key


def _start(prefix: str, delimiter: str, after: str, skip_marker_prefix: bool) -> str | None:
    """Return the first possible key, or None if no key can follow."""
    if not after:
        return ""
    if delimiter and skip_marker_prefix and after.startswith(prefix):
        place = after.find(delimiter, len(prefix))
        if place >= 0:
            return successor(after[: place + len(delimiter)])
    return after + "\x01"  # the next possible key, because keys do not contain U+0000
