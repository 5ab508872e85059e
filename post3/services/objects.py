"""PutObject, HeadObject and GetObject: store objects and open them for reading."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from ..access.permissions import Grant
from ..catalogue.attributes import HEADERS
from ..catalogue.parts import find_part
from ..catalogue.reading import IN_ROW, NOT_READ, find_object, small_bytes
from ..catalogue.rows import NewObject, ObjectRow, Published
from ..checksums import COMPOSITE
from ..db.rollback import on_rollback
from ..errors import InvalidPartNumber, InvalidRange, KeyTooLongError, NoSuchKey, NotModified
from ..models import Blob
from ..s3.names import MAX_KEY_SIZE
from ..storage.base import BlobRef, Storage
from ..storage.capabilities import CatalogueResident, Describing
from ..storage.handler import storages
from ..values import ByteRange, Conditions, Description, Payload
from . import blobs, parts
from .conditions import check_read, is_for_version
from .publishing import SURELY_NOT_WRITTEN, Content, discard_quietly, publish, savepoint
from .renewing import current, renewing
from .verifying import bytes_in_row, open_blob, verify

#: Attributes that a 304 response must repeat for caches (RFC 9110, 15.4.5).
CACHE_ATTRIBUTES = ("cache_control", "expires")


@dataclass(frozen=True, slots=True)
class PutResult:
    etag: str
    checksum_algorithm: str
    checksum: str
    size: int
    published: Published


class Span(NamedTuple):
    """The bytes of an object that are read."""

    start: int
    length: int
    #: Whether the client asked for a range or part (206).
    partial: bool
    #: Of these bytes, base64; "" if unknown (B059).
    checksum: str = ""


@dataclass(frozen=True, slots=True)
class OpenObject:
    """An object opened for reading: its row, the span to read, and the bytes of that span."""

    row: ObjectRow
    span: Span
    #: Of the whole object; 0 if it is not from a multipart upload.
    parts_count: int
    body: bytes | Iterator[bytes]


def check_key(key: str) -> None:
    """Raise KeyTooLongError for a key of more than 1,024 bytes."""
    if len(key) > MAX_KEY_SIZE // 4 and len(key.encode()) > MAX_KEY_SIZE:
        raise KeyTooLongError(Size=len(key.encode()), MaxSizeAllowed=MAX_KEY_SIZE)


def put_object(
    grant: Grant,
    key: str,
    description: Description,
    payload: Payload,
    conditions: Conditions,
    *,
    ahead: bool = True,
) -> PutResult:
    """Store a body as the latest version of a key. On return, it is durable on disk.

    Within a caller's transaction, the commit publishes the object, and a rollback leaves neither object nor bytes.
    `ahead`: another thread may read the body; False if the body is read from the catalogue's database.
    Raises NoSuchBucket, KeyTooLongError, InvalidStorageClass, PreconditionFailed, StorageError, and errors of the
    payload.
    """
    check_key(key)
    owner_id = grant.caller.known_user_id
    storage = blobs.storage_for(description.storage_class)
    if blobs.needs_bucket_first(storage, grant.bucket.name, payload.length):
        grant = current(grant)
    with savepoint():  # a failed write of bytes to the database must not break a caller's transaction
        saved = blobs.save(storage, grant.bucket.name, key, payload, described=True, ahead=ahead)
    on_rollback(lambda: _remove(storage, saved))
    new = NewObject(
        key=key,
        owner_id=owner_id,
        size=saved.size,
        etag=payload.md5,
        storage_class=description.storage_class,
        last_modified=datetime.now(UTC),
        checksum_algorithm=payload.checksum_algorithm,
        checksum_type="FULL_OBJECT",
        checksum=payload.checksum,
        sidecar=saved.sidecar,
        **description.given,
    )
    try:
        content = Content(saved.step, saved.name, saved.crc64nvme)
        published = publish(grant, new, content, storage, conditions, "Put")
    except SURELY_NOT_WRITTEN:
        discard_quietly(saved.discard)
        raise
    return PutResult(new.etag, new.checksum_algorithm, new.checksum, new.size, published)


def _remove(storage: Storage, saved: blobs.SavedBytes) -> None:
    """Remove an object's bytes and description outside the database, because its transaction was rolled back."""
    saved.remove()
    if isinstance(storage, Describing):
        storage.delete_sidecar(saved.sidecar)


@renewing
def head_object(grant: Grant, key: str, conditions: Conditions) -> ObjectRow:
    """Return the latest version of a key. Raises NoSuchBucket, NoSuchKey, NotModified, PreconditionFailed."""
    return _found(grant, key, conditions, NOT_READ)


@renewing
def find_source(grant: Grant, key: str) -> ObjectRow:
    """Return the latest version of a key, with the bytes in its row, to copy it. Raises NoSuchBucket, NoSuchKey."""
    return _found(grant, key, Conditions(), IN_ROW)


@renewing
def open_object(
    grant: Grant, key: str, conditions: Conditions, byte_range: ByteRange | None = None, part_number: int | None = None
) -> OpenObject:
    """Find the latest version of a key and open its bytes: all, a range, or the part with that number.

    For a storage in the catalogue's database, the statement that finds a small object also returns its bytes.
    Raises the errors of `head_object`, and InvalidRange, InvalidPartNumber, StorageError.
    """
    data = _small_bytes()
    while True:
        row = _found(grant, key, conditions, data)
        span = span_of(row, byte_range, part_number)
        body = open_span(row, span.start, span.length)
        if body is not None:
            return OpenObject(row, span, row.parts_count, body)
        # The key was overwritten between reading its row and its parts: try again.


def _found(grant: Grant, key: str, conditions: Conditions, data: str) -> ObjectRow:
    row = find_object(grant.bucket, key, data)
    if row is None:
        check_key(key)
        raise NoSuchKey(Key=key)
    try:
        check_read(conditions, row.etag, row.last_modified)
    except NotModified as error:
        error.headers |= {HEADERS[name]: value for name in CACHE_ATTRIBUTES if (value := getattr(row, name))}
        raise
    return row


def _small_bytes() -> str:
    """Return the SQL that selects small bytes along with an object's row."""
    for storage_class in storages.classes():
        storage = storages[storage_class]
        if isinstance(storage, CatalogueResident):
            return small_bytes(storage.inline_select("o.blob_id"), storage.inline_size)
    return IN_ROW


def span_of(row: ObjectRow, byte_range: ByteRange | None, part_number: int | None) -> Span:
    """Return the requested span: a range, the part with that number, or all. Raises InvalidRange, InvalidPartNumber."""
    if part_number is not None:
        return _part_span(row, part_number)
    if byte_range is None or not _applies(byte_range, row):
        return Span(0, row.size, False, row.checksum)
    if byte_range.first is None:
        start = max(0, row.size - (byte_range.last or 0))
        last = row.size - 1
        satisfiable = bool(byte_range.last) and row.size > 0
    else:
        start = byte_range.first
        last = row.size - 1 if byte_range.last is None else min(byte_range.last, row.size - 1)
        satisfiable = start < row.size
    if not satisfiable:
        raise InvalidRange(byte_range.text, row.size)
    length = last - start + 1
    return Span(start, length, True, row.checksum if length == row.size else "")


def _applies(byte_range: ByteRange, row: ObjectRow) -> bool:
    """Whether a range is meant for this version. A range of another one would not match the bytes the client has."""
    return byte_range.only_for is None or is_for_version(byte_range.only_for, row.etag, row.last_modified)


def _part_span(row: ObjectRow, part_number: int) -> Span:
    if row.parts_count == 0:
        if part_number != 1:
            raise InvalidPartNumber(ActualPartCount=1, PartNumberRequested=part_number)
        return Span(0, row.size, True, row.checksum)
    found = find_part(row, part_number)
    if found is None:
        raise InvalidPartNumber(ActualPartCount=row.parts_count, PartNumberRequested=part_number)
    whole = row.checksum if found.size == row.size else ""
    return Span(found.offset, found.size, True, found.checksum if row.checksum_type == COMPOSITE else whole)


def open_span(row: ObjectRow, start: int, length: int) -> bytes | Iterator[bytes] | None:
    """Return a span of an object, whole or in pieces, or None if the object was overwritten after its row was read."""
    if length == 0:
        return b""
    if row.blob_id is None:
        return parts.open_parts(row, start, length) if row.parts_count else bytes_in_row(row)[start : start + length]
    ref = BlobRef(row.blob_id, row.blob_name, row.blob_size, row.block_size)
    if row.data is not None and len(row.data) == ref.size and row.blob_state == Blob.State.STORED:
        verify(row.data, row.storage_class, ref, row.crc64nvme)
        return row.data if length == ref.size else row.data[start : start + length]
    pieces = open_blob(row.storage_class, ref, row.blob_state, row.crc64nvme, start, length)
    pieces.ensure_readable()
    data = pieces.all_read()
    if data is None:
        return pieces
    pieces.close()
    return data
