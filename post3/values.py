"""Plain values that views pass to services. They describe a request without referring to HTTP."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Conditions:
    """The preconditions of a read or a write. ETags are as sent, times are in UTC, and None means not given."""

    if_match: str | None = None
    if_none_match: str | None = None
    if_modified_since: datetime | None = None
    if_unmodified_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class ByteRange:
    """A requested range: from `first` to `last` (None: to the end), or the final `last` bytes if `first` is None."""

    first: int | None
    last: int | None
    #: The header as sent, for error messages.
    text: str
    #: `If-Range`: the range applies only to the version with this ETag (in quotes) or date. None: to any version.
    only_for: str | datetime | None = None


@dataclass(frozen=True, slots=True)
class Description:
    """What a client gives with an object besides its bytes."""

    storage_class: str
    #: The attributes of `Kind.GIVEN` by name (`catalogue/attributes.py`), metadata included.
    given: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Deletion:
    """One of several keys to delete. If an ETag is given, only an object with that ETag is deleted."""

    key: str
    etag: str | None = None


@dataclass(frozen=True, slots=True)
class CompletedPart:
    """A part listed in CompleteMultipartUpload. `checksums` maps the algorithm, as named by the client, to base64."""

    part_number: int
    etag: str
    checksums: dict[str, str]


@dataclass(frozen=True, slots=True)
class Completion:
    """The contents of a CompleteMultipartUpload request."""

    parts: list[CompletedPart]
    #: Checksums of the whole object, in base64, by algorithm.
    checksums: dict[str, str]
    #: Size of the whole object in bytes, or None if not given.
    size: int | None
    #: COMPOSITE or FULL_OBJECT; empty if not given.
    checksum_type: str = ""


class Payload(Protocol):
    """A request body that is hashed and verified as it is read. The hashes are complete once `read` returns `b""`."""

    @property
    def length(self) -> int:
        """Announced size in bytes."""

    @property
    def md5(self) -> str: ...

    @property
    def checksum_algorithm(self) -> str: ...

    @property
    def checksum(self) -> str: ...

    def read(self, size: int = -1, /) -> bytes: ...
