"""Plain values that views hand to services: what a request asks, without HTTP."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Conditions:
    """The preconditions of a read or a write; ETags as sent, times in UTC. None: not asked."""

    if_match: str | None = None
    if_none_match: str | None = None
    if_modified_since: datetime | None = None
    if_unmodified_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class ByteRange:
    """One range as asked: `first` to `last` (None: to the end), or the `last` bytes (`first` None)."""

    first: int | None
    last: int | None
    #: As sent, for error messages.
    text: str
    #: `If-Range`: the range counts only for the version with that ETag (in quotes) or date. None: for any version.
    only_for: str | datetime | None = None


@dataclass(frozen=True, slots=True)
class Description:
    """What a client gives with an object besides its bytes."""

    storage_class: str
    #: The attributes of `Kind.GIVEN` by name (`catalogue/attributes.py`), metadata included.
    given: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Deletion:
    """One of several keys to be deleted: whatever is there or, with an ETag, only a version that has it."""

    key: str
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class CompletedPart:
    """A part as CompleteMultipartUpload names it; `checksums` by algorithm (any name that the client sent), base64."""

    part_number: int
    etag: str
    checksums: dict[str, str]


@dataclass(frozen=True, slots=True)
class Completion:
    """What a client says completes an upload."""

    parts: list[CompletedPart]
    #: Of the whole object, base64 by algorithm.
    checksums: dict[str, str]
    #: Bytes of the whole object; None: not said.
    size: int | None
    #: COMPOSITE or FULL_OBJECT; empty: not said.
    checksum_type: str = ""


class Payload(Protocol):
    """A body that hashes and verifies itself. The attributes are there once `read` has returned `b""`."""

    #: Bytes announced.
    length: int
    md5: str
    checksum_algorithm: str
    checksum: str

    def read(self, size: int = -1, /) -> bytes: ...
