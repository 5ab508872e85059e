"""Damaged blobs: recognise them, mark them in the catalogue, and find the objects that they belong to."""

import hashlib
import logging
from collections.abc import Iterator
from itertools import islice

from .. import checksums
from ..models import Blob, Object, ObjectPart, UploadPart
from ..storage.base import BlobDamaged, BlobRef, Storage, StorageError
from ..visible import visible

logger = logging.getLogger(__name__)

#: Maximum number of keys that are reported for a damaged blob.
OWNERS_AT_MOST = 100


def ref_of(blob: Blob) -> BlobRef:
    """Return the reference by which a storage finds a blob."""
    return BlobRef(blob.pk, blob.name, blob.size, blob.block_size)


class Sum:
    """The checksum of a blob, computed from its bytes in order: CRC-64/NVME, and MD5 if the CRC is not recorded."""

    def __init__(self, blob: Blob) -> None:
        self._blob, self._crc = blob, checksums.new_hasher("CRC64NVME")
        self._md5 = None if blob.crc64nvme else hashlib.md5(usedforsecurity=False)

    def update(self, data: bytes) -> None:
        """Add the next bytes."""
        self._crc.update(data)
        if self._md5 is not None:
            self._md5.update(data)

    def check(self) -> None:
        """Compare the checksum after the last bytes. If no CRC was recorded, record it. Raises BlobDamaged."""
        blob, crc = self._blob, self._crc.base64()
        if self._md5 is None:
            if crc != blob.crc64nvme:
                raise BlobDamaged(f"its CRC-64/NVME is {crc}, not {blob.crc64nvme}")
            return
        if blob.md5 and self._md5.hexdigest() != blob.md5:
            raise BlobDamaged(f"its MD5 is {self._md5.hexdigest()}, not {blob.md5}")
        Blob.objects.filter(pk=blob.pk, crc64nvme=blob.crc64nvme).update(crc64nvme=crc)


def owners(blob_id: int) -> list[tuple[str, str]]:
    """Return (bucket, key) of the objects and unfinished uploads that a blob belongs to, at most OWNERS_AT_MOST."""
    return list(islice(dict.fromkeys(_owners(blob_id)), OWNERS_AT_MOST))


def _owners(blob_id: int) -> Iterator[tuple[str, str]]:
    for queryset, ahead in (
        (Object.objects.filter(blob=blob_id), ""),
        (ObjectPart.objects.filter(blob=blob_id).order_by(), "object__"),
        (UploadPart.objects.filter(blob=blob_id).order_by(), "upload__"),
    ):
        yield from queryset.values_list(f"{ahead}bucket__name", f"{ahead}key")[:OWNERS_AT_MOST]


def refuse_absence(storage: Storage) -> None:
    """Raise StorageError if not only a blob but the whole storage is missing: it does not work, or is empty.

    A process that starts before the disk is mounted creates the storage's directory, and finds it empty.
    """
    storage.check()
    if not any(not held.is_foreign for held in storage.walk()):
        raise StorageError(f"the storage of {storage.storage_class} holds nothing at all: is its disk mounted?")


def mark_damaged(blob: Blob, why: object) -> bool:
    """Mark a stored blob as damaged, so that it is no longer read, and log the objects that it belongs to.

    Return False if it was no longer stored.
    """
    if not Blob.objects.filter(pk=blob.pk, state=Blob.State.STORED).update(state=Blob.State.DAMAGED):
        return False
    whose = ", ".join(visible(f"{bucket}/{key}") for bucket, key in owners(blob.pk)) or "nothing any more"
    logger.error("Blob %s of storage class %s is damaged (%s). It belongs to %s", blob.pk, blob.storage_class, why, whose)
    return True
