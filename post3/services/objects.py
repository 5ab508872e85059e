"""Objects: put, open for reading, delete."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

from django.db import DatabaseError, connection, transaction

from ..access.callers import Caller
from ..access.permissions import AccessRequest, is_allowed
from ..catalogue.attributes import HEADERS
from ..catalogue.buckets import find_bucket
from ..catalogue.parts import find_part
from ..catalogue.reading import find_object
from ..catalogue.rows import NewObject, ObjectRow
from ..catalogue.writing import delete_object as delete_row
from ..catalogue.writing import delete_objects as delete_rows
from ..checksums import COMPOSITE
from ..db.rollback import on_rollback
from ..errors import (
    AccessDenied,
    InvalidPartNumber,
    InvalidRange,
    KeyTooLongError,
    NoSuchBucket,
    NoSuchKey,
    NotModified,
    PreconditionFailed,
    S3Error,
)
from ..models import Blob
from ..s3.names import MAX_KEY_SIZE
from ..storage.base import BlobRef, Storage, is_full
from ..storage.handler import storages
from ..values import ByteRange, Conditions, Deletion, Description, Payload
from . import blobs, parts
from .conditions import check_read, check_write, is_for_version
from .disk_reserve import may_use_reserve
from .publishing import SURELY_NOT_WRITTEN, discard_quietly, forget_sidecars, lock_latest, publish, retried, savepoint
from .verifying import open_blob, verify

#: Attributes that a cache takes from a response without a body (RFC 9110, 15.4.5).
CACHE_ATTRIBUTES = ("cache_control", "expires")


@dataclass(frozen=True, slots=True)
class PutResult:
    etag: str
    checksum_algorithm: str
    checksum: str
    size: int


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
    bucket: str,
    key: str,
    caller: Caller,
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
    owner_id = caller.known_user_id
    storage = blobs.storage_for(description.storage_class)
    if blobs.needs_bucket_first(storage, bucket, payload.length):
        find_bucket(bucket)
    with savepoint():  # of bytes in the database that cannot be written, a caller's transaction shall not break
        saved = blobs.save(storage, bucket, key, payload, described=True, ahead=ahead)
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
        sidecar=saved.name,
        **description.given,
    )
    try:
        name = saved.name if saved.size else ""
        publish(bucket, new, saved.step, storage, conditions, blob_name=name, crc64nvme=saved.crc64nvme)
    except SURELY_NOT_WRITTEN:
        discard_quietly(saved.discard)
        raise
    return PutResult(new.etag, new.checksum_algorithm, new.checksum, new.size)


def _remove(storage: Storage, saved: blobs.SavedBytes) -> None:
    """Remove from outside the database what was published in a transaction that is rolled back."""
    saved.remove()
    if saved.name and storage.describes:
        storage.delete_sidecar(saved.name)


def head_object(bucket: str, key: str, conditions: Conditions) -> ObjectRow:
    """Return the latest version of a key. Raises NoSuchBucket, NoSuchKey, NotModified, PreconditionFailed."""
    return _found(bucket, key, conditions, "", 0)


def open_object(
    bucket: str, key: str, conditions: Conditions, byte_range: ByteRange | None = None, part_number: int | None = None
) -> OpenObject:
    """Find the latest version of a key and open its bytes: all, a range, or the part of that number.

    Small objects of a storage in the catalogue's database come with the finding statement.
    Raises as `head_object`, and InvalidRange, InvalidPartNumber, StorageError.
    """
    inline, inline_size = _inline()
    while True:
        row = _found(bucket, key, conditions, inline, inline_size)
        span = span_of(row, byte_range, part_number)
        body = open_span(row, span.start, span.length)
        if body is not None:
            return OpenObject(row, span, row.parts_count, body)
        # The key was overwritten between the row and its parts: look again.


def _found(bucket: str, key: str, conditions: Conditions, inline: str, inline_size: int) -> ObjectRow:
    found, row = find_object(connection.vendor, bucket, key, inline, inline_size)
    if not found:
        raise NoSuchBucket(BucketName=bucket)
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
        if storage.inline:
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
        raise InvalidRange(
            RangeRequested=byte_range.text, ActualObjectSize=row.size, headers={"Content-Range": f"bytes */{row.size}"}
        )
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


@may_use_reserve
@retried
def delete_object(bucket: str, key: str, conditions: Conditions) -> None:
    """Delete the latest version of a key; a key that is not there is deleted too. Raises NoSuchBucket, PreconditionFailed."""
    if conditions.if_match is not None:
        with transaction.atomic():
            latest = lock_latest(bucket, key)
            check_write(conditions, key, latest.etag if latest else None)
            found, sidecars = delete_row(bucket, key)
    else:
        found, sidecars = delete_row(bucket, key)
    if not found:
        raise NoSuchBucket(BucketName=bucket)
    forget_sidecars(sidecars)


def delete_objects(bucket: str, keys: Sequence[str]) -> None:
    """Delete the latest versions of up to 1,000 keys: in one statement, or fewer at once on a full disk. Raises NoSuchBucket."""
    bucket_id = find_bucket(bucket).id
    if keys:
        _delete_rows(bucket_id, keys)


def _delete_rows(bucket_id: int, keys: Sequence[str]) -> None:
    try:
        _delete_at_once(bucket_id, keys)
    except DatabaseError as error:
        if len(keys) == 1 or not is_full(error) or connection.in_atomic_block:
            raise
        for half in (keys[: len(keys) // 2], keys[len(keys) // 2 :]):
            _delete_rows(bucket_id, half)


@may_use_reserve
@retried
def _delete_at_once(bucket_id: int, keys: Sequence[str]) -> None:
    forget_sidecars(sidecar for _, sidecar in delete_rows(bucket_id, keys))


def delete_each(bucket: str, caller: Caller, deletions: Sequence[Deletion]) -> list[tuple[str, S3Error | None]]:
    """Delete up to 1,000 keys, some perhaps under a condition, as far as the caller may.

    Return each key with the error that kept it. Raises NoSuchBucket.
    """
    answers: dict[Deletion, S3Error | None] = dict.fromkeys(deletions)
    for deletion in answers:
        if not is_allowed(AccessRequest(caller, "s3:DeleteObject", bucket, deletion.key)):
            answers[deletion] = AccessDenied()
    permitted = [deletion for deletion, error in answers.items() if error is None]
    delete_objects(bucket, list(dict.fromkeys(deletion.key for deletion in permitted if deletion.etag is None)))
    for deletion in permitted:
        if deletion.etag is not None:
            try:
                delete_object(bucket, deletion.key, Conditions(if_match=deletion.etag))
            except (NoSuchKey, PreconditionFailed) as error:
                answers[deletion] = error
    return [(deletion.key, error) for deletion, error in answers.items()]
