"""The descriptions of objects and buckets that a storage keeps beside the bytes, so that its tree explains itself.

`described.py` reads them again, when a lost catalogue is rebuilt.
"""

import json
from collections.abc import Sequence
from datetime import datetime

from ..access.accounts import account_id
from ..access.owners import user_name
from ..catalogue.attributes import DESCRIBED, HEADERS
from ..catalogue.parts import PartBlob
from ..catalogue.rows import NewObject
from ..models import Blob, Object
from ..storage.base import Storage
from ..storage.handler import storages

#: 2 also tells the owner's name, the upload an object came by, and the checksums of its blobs.
FORMAT = 2


def describing_storages() -> list[Storage]:
    """Return the configured storages that keep descriptions."""
    return [storage for storage in map(storages.__getitem__, storages.classes()) if storage.describes]


def describe_bucket(name: str, owner_id: int, region: str, created_at: datetime) -> bytes:
    """Return a JSON document of everything the catalogue knows of a bucket."""
    document = {
        "format": FORMAT,
        "bucket": name,
        "owner_id": owner_id,
        "owner": user_name(owner_id),
        "account": account_id(),
        "region": region,
        "created_at": created_at.isoformat(),
    }
    return json.dumps(document, ensure_ascii=False).encode()


def describe(bucket: str, version_id: str, new: NewObject, blob_name: str, crc64nvme: str, parts: Sequence[PartBlob]) -> bytes:
    """Return a JSON document of everything the catalogue knows of an object; blobs by the storage's names.

    `crc64nvme`: of the blob of that name, whose MD5 is the ETag.
    """
    document = {
        "format": FORMAT,
        "bucket": bucket,
        "key": new.key,
        "version_id": version_id,
        "owner": user_name(new.owner_id),
        **{name: getattr(new, name) for name in DESCRIBED},
        "last_modified": new.last_modified.isoformat(),
        "headers": {name: value for name in HEADERS if (value := getattr(new, name))},
        "metadata": new.metadata,
        "blob": blob_name,
        "crc64nvme": crc64nvme,
        "parts": [
            {
                "part_number": part.part_number,
                "size": part.size,
                "checksum": part.checksum,
                "blob": part.blob_name,
                "md5": part.md5,
                "crc64nvme": part.crc64nvme,
            }
            for part in parts
        ],
    }
    # Without `indent`, with which json is Python throughout and takes 85 µs instead of 8.
    return json.dumps(document, ensure_ascii=False).encode()


def write_anew(storage: Storage, object_id: int, name: str) -> bool:
    """Write the description of an object that lacks it. Return whether it is the object's still. Raises StorageError."""
    row = Object.objects.select_related("bucket", "blob").filter(pk=object_id, sidecar=name).first()
    if row is None:
        return False
    parts = [
        PartBlob(part.part_number, part.offset, part.size, part.checksum, part.blob_id, *_told_of(part.blob))
        for part in row.parts.select_related("blob")
    ]
    new = NewObject.of_row(row, dict(row.metadata.values_list("name", "value")), key=row.key)
    blob_name, _, crc64nvme = _told_of(row.blob)
    storage.write_sidecar(name, describe(row.bucket.name, row.version_id, new, blob_name, crc64nvme, parts))
    if Object.objects.filter(pk=object_id, sidecar=name).exists():
        return True
    storage.delete_sidecar(name)  # overwritten or deleted meanwhile, by somebody who found no description to delete
    return False


def _told_of(blob: Blob | None) -> tuple[str, str, str]:
    """Return a blob's name, MD5 and CRC-64/NVME, as a description tells them."""
    return (blob.name, blob.md5, blob.crc64nvme or "") if blob else ("", "", "")
