"""Blobs: bytes come into a storage first, then one catalogue commit publishes them.

Three ways in:
 - small bytes of a storage that lives in the catalogue's database travel with the publishing statement;
 - bytes that are at hand at once are saved, then published together with their blob's row;
 - more than that is saved under a pending blob, whose row tells the worker what to remove after a crash.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from .. import checksums
from ..catalogue.writing import BlobStep, new_blob, no_blob, pending_blob
from ..errors import InvalidStorageClass, S3NotImplemented
from ..models import Blob
from ..storage.base import MIB, BlobRef, Storage, Stream
from ..storage.handler import UnknownStorageClass, storages
from ..threads.readahead import ReadAhead
from ..values import Payload
from .publishing import discard_quietly

#: Bytes up to which a body is held in memory and needs no pending blob.
AT_HAND_SIZE = MIB


#: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html#AmazonS3-PutObject-request-header-StorageClass
AWS_STORAGE_CLASSES = frozenset(
    (
        "STANDARD REDUCED_REDUNDANCY STANDARD_IA ONEZONE_IA INTELLIGENT_TIERING GLACIER DEEP_ARCHIVE OUTPOSTS GLACIER_IR SNOW "
        "EXPRESS_ONEZONE FSX_OPENZFS FSX_ONTAP AWS_BACKUP_WARM AWS_BACKUP_LOW_COST_WARM"
    ).split()
)


def storage_for(storage_class: str) -> Storage:
    """Return the storage of a class. Raises InvalidStorageClass, or NotImplemented for a class of AWS's without a storage."""
    try:
        return storages[storage_class]
    except UnknownStorageClass:
        if storage_class in AWS_STORAGE_CLASSES:
            raise S3NotImplemented.of_storage_class(storage_class) from None
        raise InvalidStorageClass(StorageClassRequested=storage_class) from None


@dataclass(frozen=True, slots=True)
class SavedBytes:
    """Bytes in a storage that nothing refers to yet."""

    size: int
    #: The storage's name of them, which their sidecar shares.
    name: str
    #: Base64; empty where there are none.
    crc64nvme: str
    step: BlobStep
    #: Remove them again, because they were not published.
    discard: Callable[[], None]
    #: The same without the database, for when that has rolled back.
    remove: Callable[[], None]


def needs_bucket_first(storage: Storage, bucket: str, length: int) -> bool:
    """Whether the bucket must be looked up before bytes are taken, because the publishing statement would tell too late."""
    # No bytes have a description all the same, and a storage makes no names for buckets that cannot be.
    saved = length > storage.inline_insert_size or storage.describes
    return saved and not (length <= AT_HAND_SIZE and storage.has_place(bucket))


def save(storage: Storage, bucket: str, key: str, payload: Payload, *, described: bool, ahead: bool = True) -> SavedBytes:
    """Save a body to its end, which verifies it. Leaves nothing behind where it raises: S3Error, StorageError.

    `described`: a sidecar of the bytes' own name follows, where the storage has such, before anything is published.
    `ahead`: the body may be read on another thread, which it may not where it reads the catalogue's database.
    """
    if payload.length == 0:
        payload.read(1)
        return SavedBytes(0, storage.new_name(bucket, key) if storage.describes else "", "", no_blob(), _nothing, _nothing)
    if payload.length <= AT_HAND_SIZE:
        return _save_at_hand(storage, bucket, key, payload, described)
    if not ahead:
        return _save_pending(storage, bucket, key, payload, payload)
    with ReadAhead(payload) as stream:
        return _save_pending(storage, bucket, key, payload, stream)


def _save_at_hand(storage: Storage, bucket: str, key: str, payload: Payload, described: bool) -> SavedBytes:
    data = read_whole(payload)
    crc64nvme, now = checksums.crc64nvme(data), datetime.now(UTC)
    if len(data) <= storage.inline_insert_size:
        also = storage.inline_insert(data)
        step = new_blob(storage.storage_class, "", len(data), payload.md5, crc64nvme, storage.block_size, now, also)
        return SavedBytes(len(data), "", crc64nvme, step, _nothing, _nothing)
    if storage.block_size:  # blocks need their blob's row
        return _save_pending(storage, bucket, key, payload, io.BytesIO(data))
    ref = BlobRef(0, storage.new_name(bucket, key), 0, 0)
    if described and storage.describes:
        storage.save_at_hand(ref, data)
    else:
        storage.save(ref, io.BytesIO(data))
    step = new_blob(storage.storage_class, ref.name, len(data), payload.md5, crc64nvme, 0, now)
    remove = partial(storage.delete, ref)
    return SavedBytes(len(data), ref.name, crc64nvme, step, remove, remove)


def read_whole(payload: Payload) -> bytes:
    """Read a body of a length that memory bears, to its verified end."""
    pieces = []
    while piece := payload.read(payload.length + 1):
        pieces.append(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _save_pending(storage: Storage, bucket: str, key: str, payload: Payload, stream: Stream) -> SavedBytes:
    blob = Blob.objects.create(
        storage_class=storage.storage_class,
        name=storage.new_name(bucket, key),
        size=0,
        block_size=storage.block_size,
        state=Blob.State.PENDING,
        created_at=datetime.now(UTC),
    )
    ref = BlobRef(blob.pk, blob.name, 0, blob.block_size)

    def discard() -> None:
        storage.delete(ref)
        Blob.objects.filter(pk=blob.pk, state=Blob.State.PENDING).delete()

    summed = Summed(stream)
    try:
        size = storage.save(ref, summed)
    except BaseException:
        discard_quietly(discard)
        raise
    step = pending_blob(blob.pk, size, payload.md5, summed.crc64nvme)
    remove = _nothing if storage.inline else partial(storage.delete, ref)
    return SavedBytes(size, blob.name, summed.crc64nvme, step, discard, remove)


def _nothing() -> None:
    """There is nothing to remove: the bytes are in the database, or no more than a statement that was not run."""


class Summed:
    """A stream that sums up what it gives, for the blob's own checksum."""

    def __init__(self, stream: Stream) -> None:
        self._stream, self._hasher = stream, checksums.new_hasher("CRC64NVME")

    @property
    def crc64nvme(self) -> str:
        """CRC-64/NVME of what was read so far, base64."""
        return self._hasher.base64()

    def read(self, size: int = -1, /) -> bytes:
        data = self._stream.read(size)
        self._hasher.update(data)
        return data


class Rehashed:
    """A payload with a checksum of another algorithm than its client's, which is verified none the less."""

    def __init__(self, payload: Payload, algorithm: str) -> None:
        self.length, self.checksum_algorithm = payload.length, algorithm
        self._payload, self._hasher = payload, checksums.new_hasher(algorithm)

    @property
    def md5(self) -> str:
        return self._payload.md5

    @property
    def checksum(self) -> str:
        return self._hasher.base64()

    def read(self, size: int = -1, /) -> bytes:
        data = self._payload.read(size)
        self._hasher.update(data)
        return data
