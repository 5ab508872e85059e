"""List multipart uploads: pages in order of key, then time, rolled up by a delimiter."""

from dataclasses import dataclass

from ..access.permissions import Grant
from ..catalogue.listing import successor
from ..errors import InvalidArgument
from ..models import MultipartUpload
from . import upload_ids
from .renewing import refresh, renewing

_BATCH = 1000


@dataclass(frozen=True, slots=True)
class UploadListing:
    """One page. The next page starts after `next_key` and, if the last entry is an upload, `next_upload_id`."""

    uploads: list[MultipartUpload]
    prefixes: list[str]
    is_truncated: bool
    next_key: str
    next_upload_id: str


@renewing
def list_uploads(grant: Grant, prefix: str, delimiter: str, key_marker: str, id_marker: str, limit: int) -> UploadListing:
    """Return up to `limit` uploads and prefixes after the markers. Raises NoSuchBucket, InvalidArgument (B091)."""
    refresh(grant)
    bucket_id = grant.bucket.id
    if id_marker and not _names_upload(id_marker, bucket_id, key_marker):
        raise InvalidArgument("Invalid uploadId marker", ArgumentName="upload-id-marker", ArgumentValue=id_marker)
    uploads: list[MultipartUpload] = []
    prefixes: list[str] = []
    next_key = next_id = ""
    while True:
        batch = _batch(bucket_id, prefix, _beyond(prefix, delimiter, key_marker), key_marker, id_marker)
        for upload in batch:
            if prefixes and upload.key.startswith(prefixes[-1]):
                continue
            if len(uploads) + len(prefixes) == limit:
                return UploadListing(uploads, prefixes, limit > 0, next_key, next_id)
            rolled_up = _common_prefix(prefix, delimiter, upload.key)
            if rolled_up:
                prefixes.append(rolled_up)
                next_key, next_id = rolled_up, ""
            else:
                uploads.append(upload)
                next_key, next_id = upload.key, upload.upload_id
        if len(batch) < _BATCH:
            return UploadListing(uploads, prefixes, False, next_key, next_id)
        key_marker, id_marker = (next_key, "") if next_id == "" else (batch[-1].key, batch[-1].upload_id)


def _names_upload(upload_id: str, bucket_id: int, key: str) -> bool:
    """Whether there is or was an upload with that id to that key.

    A client that aborts all uploads of a page passes the last one, which no longer exists, as the marker of the next
    page.
    """
    there = MultipartUpload.objects.filter(upload_id=upload_id, bucket_id=bucket_id, key=key).exists()
    return there or upload_ids.is_of(upload_id, bucket_id, key)


def _common_prefix(prefix: str, delimiter: str, key: str) -> str:
    """Return the common prefix that a key is rolled up into, or ""."""
    place = key.find(delimiter, len(prefix)) if delimiter else -1
    return key[: place + len(delimiter)] if place >= 0 else ""


def _beyond(prefix: str, delimiter: str, marker: str) -> str | None:
    """Return the first key after the common prefix that contains the marker, or None if none contains it (B039)."""
    rolled_up = _common_prefix(prefix, delimiter, marker) if marker.startswith(prefix) else ""
    return successor(rolled_up) if rolled_up else None


def _batch(bucket_id: int, prefix: str, beyond: str | None, key_marker: str, id_marker: str) -> list[MultipartUpload]:
    found = MultipartUpload.objects.filter(bucket_id=bucket_id, key__gte=max(prefix, beyond or ""))
    high = successor(prefix)
    if high is not None:
        found = found.filter(key__lt=high)
    if key_marker and beyond is None:
        later = found.filter(key__gt=key_marker)
        found = later | found.filter(key=key_marker, upload_id__gt=id_marker) if id_marker else later
    return list(found.order_by("key", "upload_id")[:_BATCH])
