"""Plain values that the hot statements take and give; what services and views pass on."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

#: Columns of `ObjectHeaders`, in the order that the statements use.
HEADER_COLUMNS = (
    "content_type",
    "content_encoding",
    "content_disposition",
    "content_language",
    "cache_control",
    "expires",
)
#: The last of them, by their names in HTTP: what an answer without a body tells caches too.
CACHE_HEADERS = ("Cache-Control", "Expires")


@dataclass(frozen=True, slots=True)
class BucketRow:
    id: int
    name: str
    owner_id: int
    region: str


@dataclass(frozen=True, slots=True)
class ObjectRow:
    """What GET and HEAD need of the latest version of a key, by one statement."""

    id: int
    bucket_id: int
    key: str
    version_id: str
    #: Grows with every write of the key; tells whether the row is still the one that was read.
    sequence: int
    owner_id: int
    size: int
    etag: str
    storage_class: str
    last_modified: datetime
    checksum_algorithm: str
    checksum_type: str
    checksum: str
    parts_count: int
    #: In the order of HEADER_COLUMNS.
    headers: tuple[str, ...]
    metadata: dict[str, str]
    blob_id: int | None
    blob_name: str
    block_size: int
    #: Of the blob, base64; empty where not known.
    crc64nvme: str
    #: A `Blob.State`; 0 where there is no blob.
    blob_state: int
    #: All bytes, where they came along; see `Storage.inline_select`.
    data: bytes | None = None


@dataclass(frozen=True, slots=True)
class NewObject:
    """What an object shall be, without its bytes."""

    key: str
    owner_id: int
    size: int
    etag: str
    storage_class: str
    last_modified: datetime
    headers: tuple[str, ...]
    metadata: dict[str, str] = field(default_factory=dict)
    checksum_algorithm: str = ""
    checksum_type: str = ""
    checksum: str = ""
    parts_count: int = 0
    upload_id: str = ""
    sidecar: str = ""


class ListedObject(NamedTuple):
    """One object of a page. A named tuple, which is made four times as fast as a frozen dataclass: a page has a thousand."""

    key: str
    size: int
    etag: str
    last_modified: datetime
    storage_class: str
    owner_id: int
    checksum_algorithm: str
    checksum_type: str


@dataclass(frozen=True, slots=True)
class CommonPrefix:
    prefix: str


def as_datetime(value: datetime | str) -> datetime:
    """Read a timestamp as either database's raw cursor gives it; SQLite's has no time zone, and may be text."""
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
