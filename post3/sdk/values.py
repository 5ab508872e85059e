"""What the client answers, and what it is told, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self, TypedDict

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


@dataclass(frozen=True, slots=True)
class Transfers:
    """How large bodies travel. Sizes are in bytes.

    `threshold`: bodies from this size on are sent and fetched in parts of `part_size` (S3 wants 5 MiB at least), `concurrency`
    at once. Objects from `copy_threshold` on are copied in parts of `copy_part_size`; S3 copies up to 5 GiB in one request.
    """

    threshold: int = 16 * MIB
    part_size: int = 16 * MIB
    concurrency: int = 8
    copy_threshold: int = 5 * GIB + 1
    copy_part_size: int = 256 * MIB


class PutOptions(TypedDict, total=False):
    """What an object is stored with; all of it can be left out. Metadata is ASCII, its names are read back in lower case."""

    #: Guessed from the key's name where it is left out.
    content_type: str
    metadata: Mapping[str, str]
    cache_control: str
    content_disposition: str
    content_encoding: str
    content_language: str
    storage_class: str


@dataclass(frozen=True, slots=True)
class BucketInfo:
    """A bucket of the user."""

    name: str
    created: datetime


@dataclass(frozen=True, slots=True)
class ObjectEntry:
    """An object as a listing tells it. `size` in bytes, `etag` without quotes."""

    key: str
    size: int
    etag: str
    last_modified: datetime
    storage_class: str

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Self:
        """Make it of an element of boto3's `Contents`."""
        storage_class = entry.get("StorageClass", "STANDARD")
        return cls(entry["Key"], entry["Size"], entry["ETag"].strip('"'), entry["LastModified"], storage_class)


@dataclass(frozen=True, slots=True)
class Folder:
    """What several keys begin with, up to a delimiter: `prefix` is `2026/` for `2026/a` and `2026/b`."""

    prefix: str


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object as HEAD and GET tell it. `size` in bytes, of the whole object; `etag` without quotes.

    What an object was not stored with is an empty text; `version_id` is empty where the bucket keeps no versions.
    """

    key: str
    size: int
    etag: str
    last_modified: datetime
    content_type: str
    metadata: dict[str, str] = field(default_factory=dict)
    cache_control: str = ""
    content_disposition: str = ""
    content_encoding: str = ""
    content_language: str = ""
    storage_class: str = "STANDARD"
    version_id: str = ""

    @classmethod
    def of(cls, key: str, answer: Mapping[str, Any]) -> Self:
        """Make it of boto3's answer to HeadObject or GetObject."""
        whole = answer.get("ContentRange", "").rpartition("/")[2]  # of a range: `bytes 0-9/100`
        return cls(
            key=key,
            size=int(whole) if whole.isdigit() else answer["ContentLength"],
            etag=answer["ETag"].strip('"'),
            last_modified=answer["LastModified"],
            content_type=answer.get("ContentType", ""),
            metadata=dict(answer.get("Metadata", {})),
            cache_control=answer.get("CacheControl", ""),
            content_disposition=answer.get("ContentDisposition", ""),
            content_encoding=answer.get("ContentEncoding", ""),
            content_language=answer.get("ContentLanguage", ""),
            storage_class=answer.get("StorageClass", "STANDARD"),
            version_id=answer.get("VersionId", ""),
        )


@dataclass(frozen=True, slots=True)
class DeleteError:
    """A key that was not deleted, with S3's error code (`AccessDenied`) and the server's sentence."""

    key: str
    code: str
    message: str
