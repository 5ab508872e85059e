"""Blobs: a storage saves the bytes first; then one commit of the catalogue publishes them.

A body is saved in one of three ways:
 - A small body of a storage in the catalogue's database is part of the statement that publishes it.
 - A body that fits in memory is saved, and then published together with the row of its blob.
 - Any other body is saved under a pending blob, so that the worker can delete what a crash leaves behind. A storage can
   require this for bodies that fit in memory, too.
"""

import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from .. import checksums
from ..catalogue.blob_steps import BlobStep, in_row, new_blob, no_blob, pending_blob
from ..errors import InvalidStorageClass, S3NotImplemented
from ..models import Blob
from ..storage.base import MIB, BlobRef, Storage, Stream
from ..storage.capabilities import CatalogueResident, Describing
from ..storage.handler import UnknownStorageClass, storages
from ..threads.readahead import ReadAhead
from ..values import Payload
from .publishing import discard_quietly

#: Maximum bytes of a body that is held in memory.
MAX_IN_MEMORY = MIB

#: https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html#AmazonS3-PutObject-request-header-StorageClass
AWS_STORAGE_CLASSES = frozenset(
    (
        "STANDARD REDUCED_REDUNDANCY STANDARD_IA ONEZONE_IA INTELLIGENT_TIERING GLACIER DEEP_ARCHIVE OUTPOSTS GLACIER_IR SNOW "
        "EXPRESS_ONEZONE FSX_OPENZFS FSX_ONTAP AWS_BACKUP_WARM AWS_BACKUP_LOW_COST_WARM"
    ).split()
)


def storage_for(storage_class: str) -> Storage:
    """Return the storage of a class.

    Raises S3NotImplemented for a class of AWS without a configured storage, InvalidStorageClass for any other.
    """
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
    #: The storage's name of the bytes; empty if there are none, or if the blob's id identifies them.
    name: str
    #: The name under which the object's description is written; empty if the storage keeps none.
    sidecar: str
    #: Base64; empty if there are no bytes.
    crc64nvme: str
    step: BlobStep
    #: Delete the bytes, because they were not published.
    discard: Callable[[], None]
    #: Delete the bytes without using the database, which has rolled back.
    remove: Callable[[], None]


def needs_bucket_first(storage: Storage, bucket: str, length: int) -> bool:
    """Whether to load the bucket's state before saving bytes, because the publishing statement would be too late.

    Long bodies would be saved in vain, and a storage must not make a place for a bucket that has been deleted.
    """
    if isinstance(storage, Describing):  # even an object without bytes has a description
        return length > MAX_IN_MEMORY or not storage.has_place(bucket)
    if isinstance(storage, CatalogueResident):
        return length > storage.inline_insert_size
    return length > MAX_IN_MEMORY or (length > 0 and not storage.has_place(bucket))


def new_sidecar(storage: Storage, bucket: str, key: str) -> str:
    """Return a new name for the description of an object; empty if the storage keeps none."""
    return storage.new_sidecar(_hint(bucket, key)) if isinstance(storage, Describing) else ""


def _hint(bucket: str, key: str) -> str:
    return f"{bucket}/{key}"


def save(storage: Storage, bucket: str, key: str, payload: Payload, *, described: bool, ahead: bool = True) -> SavedBytes:
    """Save a whole body, which reading to its end verifies. If this raises, it leaves nothing behind.

    `described`: the bytes belong to one object, whose description (if the storage keeps any) is written before they are
    published. `ahead`: another thread may read the body; False if the body is read from the catalogue's database.
    Raises S3Error, StorageError.
    """
    if payload.length == 0:
        payload.read(1)
        return SavedBytes(0, "", new_sidecar(storage, bucket, key), "", no_blob(), _nothing, _nothing)
    if payload.length <= MAX_IN_MEMORY:
        return _save_in_memory(storage, bucket, key, payload, described)
    if not ahead:
        return _save_pending(storage, bucket, key, payload, payload)
    with ReadAhead(payload) as stream:
        return _save_pending(storage, bucket, key, payload, stream)


def _save_in_memory(storage: Storage, bucket: str, key: str, payload: Payload, described: bool) -> SavedBytes:
    data = read_whole(payload)
    if isinstance(storage, CatalogueResident):
        if described and len(data) <= storage.row_size and not isinstance(storage, Describing):
            crc64nvme = checksums.crc64nvme(data)
            return SavedBytes(len(data), "", "", crc64nvme, in_row(data, crc64nvme), _nothing, _nothing)
        if len(data) <= storage.inline_insert_size:
            return _save_inline(storage, bucket, key, payload, data)
    if storage.pending_row_first:
        return _save_pending(storage, bucket, key, payload, io.BytesIO(data))
    crc64nvme, now = checksums.crc64nvme(data), datetime.now(UTC)
    ref = BlobRef(0, storage.new_name(_hint(bucket, key)), 0, 0)
    if described and isinstance(storage, Describing):
        storage.save_before_sidecar(ref, data)
    else:
        storage.save(ref, io.BytesIO(data))
    step = new_blob(storage.storage_class, ref.name, len(data), payload.md5, crc64nvme, 0, now)
    remove = partial(storage.delete, ref)
    sidecar = ref.name if isinstance(storage, Describing) else ""
    return SavedBytes(len(data), ref.name, sidecar, crc64nvme, step, remove, remove)


def _save_inline(storage: CatalogueResident, bucket: str, key: str, payload: Payload, data: bytes) -> SavedBytes:
    """Return bytes that are saved by the statement that publishes them."""
    crc64nvme, also = checksums.crc64nvme(data), storage.inline_insert(data)
    now, block_size = datetime.now(UTC), storage.block_size
    step = new_blob(storage.storage_class, "", len(data), payload.md5, crc64nvme, block_size, now, also)
    return SavedBytes(len(data), "", new_sidecar(storage, bucket, key), crc64nvme, step, _nothing, _nothing)


def read_whole(payload: Payload) -> bytes:
    """Read a body that fits in memory to its end, which verifies it."""
    pieces = []
    while piece := payload.read(payload.length + 1):
        pieces.append(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _save_pending(storage: Storage, bucket: str, key: str, payload: Payload, stream: Stream) -> SavedBytes:
    blob = Blob.objects.create(
        storage_class=storage.storage_class,
        name=storage.new_name(_hint(bucket, key)),
        size=0,
        block_size=storage.block_size if isinstance(storage, CatalogueResident) else 0,
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
    remove = _nothing if isinstance(storage, CatalogueResident) else partial(storage.delete, ref)
    sidecar = (blob.name or new_sidecar(storage, bucket, key)) if isinstance(storage, Describing) else ""
    return SavedBytes(size, blob.name, sidecar, summed.crc64nvme, step, discard, remove)


def _nothing() -> None:
    """Do nothing: there are no bytes, or they are part of a statement or transaction that had no effect."""


class Summed:
    """A stream that computes the blob's own checksum of what is read from it."""

    def __init__(self, stream: Stream) -> None:
        self._stream, self._hasher = stream, checksums.new_hasher("CRC64NVME")

    @property
    def crc64nvme(self) -> str:
        """CRC-64/NVME of the bytes read so far, base64."""
        return self._hasher.base64()

    def read(self, size: int = -1, /) -> bytes:
        data = self._stream.read(size)
        self._hasher.update(data)
        return data


class Rehashed:
    """A payload with a checksum of another algorithm than the client's, which is still verified."""

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
