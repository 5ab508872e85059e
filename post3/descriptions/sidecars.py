"""Write the descriptions of objects and buckets that a storage keeps beside the bytes.

`described.py` reads them when a lost catalogue is rebuilt.
"""

import json
from collections.abc import Sequence
from typing import Any

from ..access.accounts import account_id
from ..access.owners import user_name
from ..catalogue.attributes import DESCRIBED, HEADERS
from ..catalogue.parts import PartBlob
from ..catalogue.rows import NewObject
from ..models import Blob, Bucket, Object
from ..storage.capabilities import Describing
from ..storage.handler import storages

#: Format 2 added the owner's name, the id of the multipart upload that made the object, and the checksums of blobs.
FORMAT = 2


def describing_storages() -> list[Describing]:
    """Return the configured storages that keep descriptions."""
    configured = [storages[storage_class] for storage_class in storages.classes()]
    return [storage for storage in configured if isinstance(storage, Describing)]


def describe_bucket(bucket: Bucket) -> bytes:
    """Return a JSON document with everything that the catalogue knows about a bucket."""
    return json.dumps({"format": FORMAT, **_values_of(bucket)}, ensure_ascii=False).encode()


def describes_bucket(document: bytes, bucket: Bucket) -> bool:
    """Whether a description has all values of a bucket. One by a newer release may have more, and another format."""
    try:
        values = json.loads(document)
    except (ValueError, RecursionError):
        return False
    return isinstance(values, dict) and values.items() >= _values_of(bucket).items()


def _values_of(bucket: Bucket) -> dict[str, Any]:
    return {
        "bucket": bucket.name,
        "owner_id": bucket.owner_id,
        "owner": user_name(bucket.owner_id),
        "account": account_id(),
        "region": bucket.region,
        "created_at": bucket.created_at.isoformat(),
        "versioning": bucket.versioning,
    }


def describe(bucket: str, version_id: str, new: NewObject, blob_name: str, crc64nvme: str, parts: Sequence[PartBlob]) -> bytes:
    """Return a JSON document with everything that the catalogue knows about an object.

    `blob_name`: the storage's name of the object's only blob, whose MD5 is the ETag; empty if it has none, or parts.
    `crc64nvme`: the checksum of that blob.
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
    # No `indent`: with it, json uses its Python encoder, which takes 85 µs instead of 8.
    return json.dumps(document, ensure_ascii=False).encode()


def rewrite(storage: Describing, object_id: int, name: str) -> bool:
    """Write the missing or wrong description of an object. Return False if the object no longer has that description.

    Raises StorageError.
    """
    row = Object.objects.select_related("bucket", "blob").filter(pk=object_id, sidecar=name).first()
    if row is None:
        return False
    parts = [
        PartBlob(part.part_number, part.offset, part.size, part.checksum, part.blob_id, *_described(part.blob))
        for part in row.parts.select_related("blob")
    ]
    new = NewObject.of_row(row, key=row.key)
    blob_name, _, crc64nvme = _described(row.blob)
    storage.write_sidecar(name, describe(row.bucket.name, row.version_id, new, blob_name, crc64nvme, parts))
    if Object.objects.filter(pk=object_id, sidecar=name).exists():
        return True
    # The object was overwritten or deleted meanwhile, when there was no description to delete.
    storage.delete_sidecar(name)
    return False


def _described(blob: Blob | None) -> tuple[str, str, str]:
    """Return the name, MD5 and CRC-64/NVME of a blob for a description."""
    return (blob.name, blob.md5, blob.crc64nvme or "") if blob else ("", "", "")
