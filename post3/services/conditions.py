"""Preconditions of reads and writes: functions of an ETag and a time."""

import re
from datetime import UTC, datetime

from ..errors import ConditionalRequestConflict, NoSuchKey, NotModified, Precondition, PreconditionFailed, S3NotImplemented
from ..values import Conditions

#: One entity tag of a list: weak or strong, quoted or bare (B055). Within quotes, a comma is part of the tag.
_ENTITY_TAG = re.compile(r'(W/)?(?:"([^"]*)"|([^",\s]+))')


def names_etag(header: str, etag: str, weakly: bool = False) -> bool:
    """Whether an `If-Match` or (`weakly`) `If-None-Match` value contains that ETag, quoted or not; `*` matches any.

    post3's ETags are strong, so a weak one never matches in a strong comparison (RFC 9110, 8.8.3.2).
    """
    if header.strip() == "*":
        return True
    found = _ENTITY_TAG.findall(header)
    return any((quoted or bare) == etag for weak, quoted, bare in found if weakly or not weak)


def is_for_version(only_for: str | datetime, etag: str, last_modified: datetime) -> bool:
    """Whether an `If-Range` validator is the ETag or the exact second of that version (B152; RFC 9110, 13.1.5)."""
    return only_for in (f'"{etag}"', last_modified.replace(microsecond=0))


def check_read(conditions: Conditions, etag: str, last_modified: datetime) -> None:
    """Raise PreconditionFailed or NotModified if the conditions of a read are not met (RFC 9110, 13.2.2; B053)."""
    modified = last_modified.replace(microsecond=0)
    if conditions.if_match is not None:
        if not names_etag(conditions.if_match, etag):
            raise PreconditionFailed(Precondition.IF_MATCH)
    elif conditions.if_unmodified_since is not None and modified > conditions.if_unmodified_since:
        raise PreconditionFailed(Precondition.IF_UNMODIFIED_SINCE)
    if conditions.if_none_match is not None:
        if names_etag(conditions.if_none_match, etag, weakly=True):
            raise NotModified(etag, modified)
    elif conditions.if_modified_since is not None and modified <= conditions.if_modified_since <= datetime.now(UTC):  # B055
        raise NotModified(etag, modified)


def check_copy_source(conditions: Conditions, etag: str, last_modified: datetime) -> None:
    """Raise PreconditionFailed if the conditions on a copy's source are not met. A copy is never "not modified"."""
    try:
        check_read(conditions, etag, last_modified)
    except NotModified:
        condition = Precondition.IF_MODIFIED_SINCE if conditions.if_none_match is None else Precondition.IF_NONE_MATCH
        raise PreconditionFailed(condition, of_source=True) from None
    except PreconditionFailed as error:
        raise PreconditionFailed(error.condition, of_source=True) from None


def is_write_condition(conditions: Conditions) -> bool:
    """Whether a write has conditions. Raises NotImplemented for conditions that S3 lacks on writes (B071, B072)."""
    if conditions.if_none_match is not None and conditions.if_match is not None:
        raise S3NotImplemented.of_both(Precondition.IF_MATCH, Precondition.IF_NONE_MATCH)
    if conditions.if_none_match is not None and conditions.if_none_match.strip('"') != "*":
        raise S3NotImplemented.of_value(Precondition.IF_NONE_MATCH)
    if conditions.if_match == "*":
        raise S3NotImplemented.of_value(Precondition.IF_MATCH)
    return conditions.if_match is not None or conditions.if_none_match is not None


def check_write(conditions: Conditions, key: str, etag: str | None) -> None:
    """Raise PreconditionFailed or NoSuchKey if a write must not replace the version with that ETag (None: none)."""
    if conditions.if_none_match is not None and etag is not None:
        raise PreconditionFailed(Precondition.IF_NONE_MATCH)
    if conditions.if_match is not None:
        if etag is None:
            raise NoSuchKey(Key=key)
        if not names_etag(conditions.if_match, etag):
            raise PreconditionFailed(Precondition.IF_MATCH)


def check_undisturbed(conditions: Conditions, key: str, begun: int, now: int) -> None:
    """Raise ConditionalRequestConflict if a key was written or deleted after an upload to it was created (B073).

    `begun`, `now`: the revision of the key's latest version then and now; 0 if there was none, -1 if it was deleted
    since.
    """
    if begun != now:
        condition = Precondition.IF_NONE_MATCH if conditions.if_match is None else Precondition.IF_MATCH
        raise ConditionalRequestConflict(condition, key)
