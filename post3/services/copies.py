"""CopyObject: by reference, so that 5 GiB take milliseconds."""

from dataclasses import dataclass
from datetime import UTC, datetime

from ..conf import conf
from ..errors import InvalidRequest
from ..models.rows import NewObject
from ..models.writing import no_blob, shared_blob
from ..values import Conditions, Description
from . import blobs, parts
from .conditions import check_copy_source
from .objects import check_key, head_object
from .publishing import publish, retried

_NOTHING = Conditions()


@dataclass(frozen=True, slots=True)
class CopyResult:
    etag: str
    last_modified: datetime
    checksum_algorithm: str
    checksum_type: str
    checksum: str


def copy_object(
    source: tuple[str, str],
    source_conditions: Conditions,
    target: tuple[str, str],
    owner_id: int,
    description: Description | None,
    storage_class: str | None,
    conditions: Conditions,
) -> CopyResult:
    """Copy an object by reference. `description` None: the source's headers and metadata are kept.

    The ETag and checksum of an object of several parts stay as they are; S3 makes new ones (decisions.md).
    Raises NoSuchBucket, NoSuchKey, PreconditionFailed, InvalidRequest (onto itself unchanged; over 5 GiB).
    """
    check_key(target[1])
    if source == target and description is None and storage_class is None:
        raise InvalidRequest(
            "This copy request is illegal because it is trying to copy an object to itself without changing the object's "
            "metadata, storage class, website redirect location or encryption attributes."
        )
    return _copy_object(source, source_conditions, target, owner_id, description, storage_class, conditions)


@retried
def _copy_object(
    source: tuple[str, str],
    source_conditions: Conditions,
    target: tuple[str, str],
    owner_id: int,
    description: Description | None,
    storage_class: str | None,
    conditions: Conditions,
) -> CopyResult:
    row = head_object(*source, _NOTHING)
    check_copy_source(source_conditions, row.etag, row.last_modified)
    if row.size > conf.MAX_BODY_SIZE:
        raise InvalidRequest(
            f"The specified copy source is larger than the maximum allowable size for a copy source: {conf.MAX_BODY_SIZE}"
        )
    storage = blobs.storage_for(storage_class or row.storage_class)
    new = NewObject(
        key=target[1],
        owner_id=owner_id,
        size=row.size,
        etag=row.etag,
        storage_class=storage.storage_class,
        last_modified=datetime.now(UTC),
        headers=description.headers if description else row.headers,
        metadata=description.metadata if description else row.metadata,
        checksum_algorithm=row.checksum_algorithm,
        checksum_type=row.checksum_type,
        checksum=row.checksum,
        parts_count=row.parts_count,
        sidecar=storage.new_name(*target) if storage.describes else "",
    )
    chosen = parts.find_parts(row) if row.parts_count else []
    if row.parts_count and not chosen:  # overwritten since its row was read
        return _copy_object(source, source_conditions, target, owner_id, description, storage_class, conditions)
    step = no_blob() if row.blob_id is None else shared_blob(row.blob_id)
    publish(target[0], new, step, storage, conditions, blob_name=row.blob_name, parts=chosen)
    return CopyResult(new.etag, new.last_modified, new.checksum_algorithm, new.checksum_type, new.checksum)
