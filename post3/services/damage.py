"""Damaged blobs: how one is recognised, what it belongs to, and how the catalogue says so."""

import hashlib
import logging
from collections.abc import Iterator
from itertools import islice

from .. import checksums
from ..models import Blob, Object, ObjectPart, UploadPart
from ..storage.base import BlobDamaged, BlobRef, Storage, StorageError
from ..visible import visible

logger = logging.getLogger(__name__)

#: Keys that are told of one damaged blob.
OWNERS_AT_MOST = 100


def ref_of(blob: Blob) -> BlobRef:
    """Return what a storage needs to find a blob."""
    return BlobRef(blob.pk, blob.name, blob.size, blob.block_size)


class Sum:
    """The checksum of a blob, fed with its bytes in order: CRC-64/NVME, and MD5 where the CRC is not known."""

    def __init__(self, blob: Blob) -> None:
        self._blob, self._crc = blob, checksums.new_hasher("CRC64NVME")
        self._md5 = None if blob.crc64nvme else hashlib.md5(usedforsecurity=False)

    def update(self, data: bytes) -> None:
        """Add the next bytes."""
        self._crc.update(data)
        if self._md5 is not None:
            self._md5.update(data)

    def check(self) -> None:
        """Compare after the last bytes; note the CRC where none was known. Raises BlobDamaged."""
        blob, crc = self._blob, self._crc.base64()
        if self._md5 is None:
            if crc != blob.crc64nvme:
                raise BlobDamaged(f"its CRC-64/NVME is {crc}, not {blob.crc64nvme}")
            return
        if blob.md5 and self._md5.hexdigest() != blob.md5:
            raise BlobDamaged(f"its MD5 is {self._md5.hexdigest()}, not {blob.md5}")
        Blob.objects.filter(pk=blob.pk, crc64nvme=blob.crc64nvme).update(crc64nvme=crc)


def owners(blob_id: int) -> list[tuple[str, str]]:
    """Return (bucket, key) of what a blob belongs to, of the first OWNERS_AT_MOST: objects, and uploads under way."""
    return list(islice(dict.fromkeys(_owners(blob_id)), OWNERS_AT_MOST))


def _owners(blob_id: int) -> Iterator[tuple[str, str]]:
    for queryset, ahead in (
        (Object.objects.filter(blob=blob_id), ""),
        (ObjectPart.objects.filter(blob=blob_id).order_by(), "object__"),
        (UploadPart.objects.filter(blob=blob_id).order_by(), "upload__"),
    ):
        yield from queryset.values_list(f"{ahead}bucket__name", f"{ahead}key")[:OWNERS_AT_MOST]


def refuse_absence(storage: Storage) -> None:
    """Raise StorageError where not a blob is missing but the storage: it does not work, or holds nothing at all.

    A process that starts before the disk is mounted makes the storage's directory, and finds it empty.
    """
    storage.check()
    if not any(not held.is_foreign for held in storage.walk()):
        raise StorageError(f"the storage of {storage.storage_class} holds nothing at all: is its disk mounted?")


def mark_damaged(blob: Blob, why: object) -> bool:
    """Have a stored blob's bytes read no more, and say in the log whose they are. Return whether it was still stored."""
    if not Blob.objects.filter(pk=blob.pk, state=Blob.State.STORED).update(state=Blob.State.DAMAGED):
        return False
    whose = ", ".join(visible(f"{bucket}/{key}") for bucket, key in owners(blob.pk)) or "nothing any more"
    logger.error("Blob %s of storage class %s is damaged (%s). It belongs to %s", blob.pk, blob.storage_class, why, whose)
    return True
