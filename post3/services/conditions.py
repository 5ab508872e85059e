"""Preconditions of reads and writes: functions over an ETag and a time."""

import re
from datetime import UTC, datetime

from ..errors import ConditionalRequestConflict, NoSuchKey, NotModified, Precondition, PreconditionFailed, S3NotImplemented
from ..values import Conditions

#: One entity tag of a list: weak or not, quoted or (B055) bare. A comma within the quotes is a part of it.
_ENTITY_TAG = re.compile(r'(W/)?(?:"([^"]*)"|([^",\s]+))')


def names_etag(header: str, etag: str, weakly: bool = False) -> bool:
    """Whether an `If-Match` or (`weakly`) `If-None-Match` value names that ETag, quoted or not; `*` names any.

    Ours are strong, so a weak one is never the same where the comparison is strong (RFC 9110, 8.8.3.2).
    """
    if header.strip() == "*":
        return True
    found = _ENTITY_TAG.findall(header)
    return any((quoted or bare) == etag for weak, quoted, bare in found if weakly or not weak)


def is_for_version(only_for: str | datetime, etag: str, last_modified: datetime) -> bool:
    """Whether an `If-Range` validator is the ETag, or the very second, of that version (B152; RFC 9110, 13.1.5)."""
    return only_for in (f'"{etag}"', last_modified.replace(microsecond=0))


def check_read(conditions: Conditions, etag: str, last_modified: datetime) -> None:
    """Raise PreconditionFailed or NotModified where a read must not be answered (RFC 9110, 13.2.2; B053)."""
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
    """Raise PreconditionFailed where a copy's source is not as asked; a copy is never "not modified"."""
    try:
        check_read(conditions, etag, last_modified)
    except NotModified:
        condition = Precondition.IF_MODIFIED_SINCE if conditions.if_none_match is None else Precondition.IF_NONE_MATCH
        raise PreconditionFailed(condition, of_source=True) from None
    except PreconditionFailed as error:
        raise PreconditionFailed(error.condition, of_source=True) from None


def is_write_condition(conditions: Conditions) -> bool:
    """Whether a write depends on what is there. Raises NotImplemented for what S3 does not offer on writes (B071, B072)."""
    if conditions.if_none_match is not None and conditions.if_match is not None:
        raise S3NotImplemented.of_both(Precondition.IF_MATCH, Precondition.IF_NONE_MATCH)
    if conditions.if_none_match is not None and conditions.if_none_match.strip('"') != "*":
        raise S3NotImplemented.of_value(Precondition.IF_NONE_MATCH)
    if conditions.if_match == "*":
        raise S3NotImplemented.of_value(Precondition.IF_MATCH)
    return conditions.if_match is not None or conditions.if_none_match is not None


def check_write(conditions: Conditions, key: str, etag: str | None) -> None:
    """Raise where a write must not happen over the version with that ETag (None: there is none)."""
    if conditions.if_none_match is not None and etag is not None:
        raise PreconditionFailed(Precondition.IF_NONE_MATCH)
    if conditions.if_match is not None:
        if etag is None:
            raise NoSuchKey(Key=key)
        if not names_etag(conditions.if_match, etag):
            raise PreconditionFailed(Precondition.IF_MATCH)


def check_undisturbed(conditions: Conditions, key: str, begun: int, now: int) -> None:
    """Raise where a key was written or deleted since an upload to it began (B073).

    `begun`, `now`: the revision of the key's latest version then and now, 0 where there is none, -1 for one deleted since.
    """
    if begun != now:
        condition = Precondition.IF_NONE_MATCH if conditions.if_match is None else Precondition.IF_MATCH
        raise ConditionalRequestConflict(condition, key)
