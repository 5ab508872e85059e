"""The client's results and options, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self, TypedDict

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


@dataclass(frozen=True, slots=True)
class Transfers:
    """How large bodies are transferred. Sizes are in bytes.

    Bodies of at least `threshold` are sent and fetched in parts of `part_size` (in S3 at least 5 MiB), `concurrency` at
    the same time. Objects of at least `copy_threshold` are copied in parts of `copy_part_size`; S3 copies up to 5 GiB
    in one request.
    """

    threshold: int = 16 * MIB
    part_size: int = 16 * MIB
    concurrency: int = 8
    copy_threshold: int = 5 * GIB + 1
    copy_part_size: int = 256 * MIB


class PutOptions(TypedDict, total=False):
    """Properties to store with an object, all optional. Metadata is ASCII; its names are returned in lower case."""

    #: Guessed from the key's name if omitted.
    content_type: str
    metadata: Mapping[str, str]
    cache_control: str
    content_disposition: str
    content_encoding: str
    content_language: str
    storage_class: str


@dataclass(frozen=True, slots=True)
class BucketInfo:
    """One of the user's buckets."""

    name: str
    created: datetime


@dataclass(frozen=True, slots=True)
class ObjectEntry:
    """An object in a listing. `size` is in bytes, `etag` without quotes."""

    key: str
    size: int
    etag: str
    last_modified: datetime
    storage_class: str

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Self:
        """Return an entry for an element of boto3's `Contents`."""
        storage_class = entry.get("StorageClass", "STANDARD")
        return cls(entry["Key"], entry["Size"], entry["ETag"].strip('"'), entry["LastModified"], storage_class)


@dataclass(frozen=True, slots=True)
class Folder:
    """A prefix shared by keys, up to a delimiter: `prefix` is `2026/` for `2026/a` and `2026/b`."""

    prefix: str


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """An object's properties from HEAD or GET. `size` is that of the whole object in bytes, `etag` is without quotes.

    A property without a stored value is an empty string; so is `version_id` if the bucket is not versioned.
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
        """Return the properties from boto3's response to HeadObject or GetObject."""
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
