"""Plain values that the statements take and return, and that services and views pass on."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from .attributes import Attributes
from .buckets import BucketState

#: The id of a version that was written while its bucket did not keep versions (S3's own word).
NULL = "null"


@dataclass(frozen=True, slots=True)
class ObjectRef:
    """A version of a key: one to be written, or one that is there."""

    bucket: BucketState
    key: str
    version_id: str = NULL


@dataclass(frozen=True, slots=True)
class Published:
    """What a write did, for the response and for everything that follows from it."""

    ref: ObjectRef
    #: As S3 names it in notifications, such as `s3:ObjectCreated:Put`.
    event: str
    is_delete_marker: bool = False


@dataclass(slots=True, kw_only=True)
class ObjectRow(Attributes):
    """The latest version of a key, as one statement reads it for GET and HEAD."""

    id: int
    bucket_id: int
    key: str
    version_id: str
    #: Grows with every write of the key; shows whether the row is still the one that was read.
    revision: int
    blob_id: int | None
    blob_name: str
    #: Bytes of the blob as stored; 0 if there is no blob. `size` is the object's own.
    blob_size: int
    block_size: int
    #: Of the blob, base64; empty if not known.
    crc64nvme: str
    #: A `Blob.State`; 0 if there is no blob.
    blob_state: int
    #: All bytes, if they came along; see `Storage.inline_select`.
    data: bytes | None = None


@dataclass(slots=True, kw_only=True)
class NewObject(Attributes):
    """An object that is about to be written, without its bytes."""

    key: str


class ListedObject(NamedTuple):
    """One object of a page of up to a thousand. A named tuple is created four times as fast as a frozen dataclass."""

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
