"""Objects: put, open for reading."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from ..access.permissions import Grant
from ..catalogue.attributes import HEADERS
from ..catalogue.parts import find_part
from ..catalogue.reading import find_object
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
from .verifying import open_blob, verify

#: Attributes that a cache takes from a response without a body (RFC 9110, 15.4.5).
CACHE_ATTRIBUTES = ("cache_control", "expires")


@dataclass(frozen=True, slots=True)
class PutResult:
    etag: str
    checksum_algorithm: str
    checksum: str
    size: int
    published: Published


class Span(NamedTuple):
    """Which bytes of an object are read."""

    start: int
    length: int
    #: Whether the client asked for less than all (206).
    partial: bool
    #: Of these bytes, base64; "" where none is known (B059).
    checksum: str = ""


@dataclass(frozen=True, slots=True)
class OpenObject:
    """An object found for reading: its row, which bytes of it, and those bytes."""

    row: ObjectRow
    span: Span
    #: Of the whole object, where a part of it was asked for by number.
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
    """Store a body as the latest version of a key; when it returns, it is on disk.

    In a caller's transaction the object is there with its commit, and a rollback leaves neither object nor bytes.
    `ahead`: the body may be read on another thread, which it may not where it reads the catalogue's database.
    Raises NoSuchBucket, KeyTooLongError, InvalidStorageClass, PreconditionFailed, what the payload raises, StorageError.
    """
    check_key(key)
    owner_id = grant.caller.known_user_id
    storage = blobs.storage_for(description.storage_class)
    if blobs.needs_bucket_first(storage, grant.bucket.name, payload.length):
        grant = current(grant)
    with savepoint():  # bytes in the database that cannot be written must not break a caller's transaction
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
    """Remove from outside the database what was published in a transaction that is rolled back."""
    saved.remove()
    if isinstance(storage, Describing):
        storage.delete_sidecar(saved.sidecar)


@renewing
def head_object(grant: Grant, key: str, conditions: Conditions) -> ObjectRow:
    """Return the latest version of a key. Raises NoSuchBucket, NoSuchKey, NotModified, PreconditionFailed."""
    return _found(grant, key, conditions, "", 0)


@renewing
def open_object(
    grant: Grant, key: str, conditions: Conditions, byte_range: ByteRange | None = None, part_number: int | None = None
) -> OpenObject:
    """Find the latest version of a key and open its bytes: all, a range, or the part of that number.

    Small objects of a storage in the catalogue's database come with the finding statement.
    Raises as `head_object`, and InvalidRange, InvalidPartNumber, StorageError.
    """
    inline, inline_size = _inline()
    while True:
        row = _found(grant, key, conditions, inline, inline_size)
        span = span_of(row, byte_range, part_number)
        body = open_span(row, span.start, span.length)
        if body is not None:
            return OpenObject(row, span, row.parts_count, body)
        # The key was overwritten between the row and its parts: look again.


def _found(grant: Grant, key: str, conditions: Conditions, inline: str, inline_size: int) -> ObjectRow:
    row = find_object(grant.bucket, key, inline, inline_size)
    if row is None:
        check_key(key)
        raise NoSuchKey(Key=key)
    try:
        check_read(conditions, row.etag, row.last_modified)
    except NotModified as error:
        error.headers |= {HEADERS[name]: value for name in CACHE_ATTRIBUTES if (value := getattr(row, name))}
        raise
    return row


def _inline() -> tuple[str, int]:
    """The SQL that brings small bytes along, where any configured storage keeps them in the catalogue's database."""
    for storage_class in storages.classes():
        storage = storages[storage_class]
        if isinstance(storage, CatalogueResident):
            return storage.inline_select("o.blob_id"), storage.inline_size
    return "", 0


def span_of(row: ObjectRow, byte_range: ByteRange | None, part_number: int | None) -> Span:
    """Return which bytes are asked: a range, the part of that number, or all. Raises InvalidRange, InvalidPartNumber."""
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
    """Whether a range is asked of this version. Of another one its bytes would not fit what the client has."""
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
    """Return these bytes of an object, at once or in pieces; None where it was overwritten since its row was read."""
    if length == 0:
        return b""
    if row.blob_id is None:
        return parts.open_parts(row, start, length)
    ref = BlobRef(row.blob_id, row.blob_name, row.size, row.block_size)
    if row.data is not None and len(row.data) == row.size and row.blob_state == Blob.State.STORED:
        verify(row.data, row.storage_class, ref, row.crc64nvme)
        return row.data if length == row.size else row.data[start : start + length]
    pieces = open_blob(row.storage_class, ref, row.blob_state, row.crc64nvme, start, length)
    pieces.ensure_readable()
    return pieces
