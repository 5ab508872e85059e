"""CopyObject. It copies by reference, so that 5 GiB take milliseconds."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from .. import checksums
from ..access.permissions import Grant
from ..catalogue.attributes import Kind
from ..catalogue.blob_steps import BlobStep, in_row, no_blob, shared_blob
from ..catalogue.parts import find_parts
from ..catalogue.rows import NewObject, ObjectRow, Published
from ..conf import conf
from ..errors import InvalidRequest
from ..storage.base import Storage
from ..storage.capabilities import Describing
from ..values import Conditions, Description
from ..web.header_fields import clean_given
from . import blobs
from .conditions import check_copy_source
from .objects import check_key, find_source, open_object, open_span
from .part_copies import CopiedPayload
from .publishing import SURELY_NOT_WRITTEN, Content, discard_quietly, publish, retried
from .renewing import current
from .verifying import bytes_in_row, refuse_damaged


@dataclass(frozen=True, slots=True)
class CopyResult:
    etag: str
    last_modified: datetime
    checksum_algorithm: str
    checksum_type: str
    checksum: str
    published: Published


@retried
def copy_object(
    source: Grant,
    source_key: str,
    source_conditions: Conditions,
    target: Grant,
    key: str,
    description: Description | None,
    storage_class: str | None,
    conditions: Conditions,
    algorithm: str = "",
) -> CopyResult:
    """Copy an object: by reference within a storage, by reading it to another storage.

    `description`: None keeps the source's headers and metadata. `storage_class`: None means STANDARD (B077).
    `algorithm`: of the copy's checksum; "" keeps the source's. If the source has no such checksum, it is read (B143).
    A copy by reference keeps the ETag and checksum of an object of several parts, where S3 computes new ones (D21).
    Raises NoSuchBucket, NoSuchKey, PreconditionFailed, InvalidStorageClass, and InvalidRequest for a copy onto itself
    without changes, or of more than 5 GiB.
    """
    check_key(key)
    if (source.bucket.name, source_key) == (target.bucket.name, key) and description is None and storage_class is None:
        raise InvalidRequest(
            "This copy request is illegal because it is trying to copy an object to itself without changing the object's "
            "metadata, storage class, website redirect location or encryption attributes."
        )
    storage = blobs.storage_for(storage_class or "STANDARD")
    if isinstance(storage, Describing) and not storage.has_place(target.bucket.name):
        target = current(target)
    while True:
        row = find_source(source, source_key)
        check_copy_source(source_conditions, row.etag, row.last_modified)
        if row.size > conf.MAX_BODY_SIZE:
            raise InvalidRequest(
                f"The specified copy source is larger than the maximum allowable size for a copy source: {conf.MAX_BODY_SIZE}"
            )
        new = NewObject(
            key=key,
            owner_id=target.caller.known_user_id,
            storage_class=storage.storage_class,
            last_modified=datetime.now(UTC),
            sidecar=blobs.new_sidecar(storage, target.bucket.name, key),
            **row.of_kind(Kind.CONTENT),
            **(description.given if description else clean_given(row.of_kind(Kind.GIVEN))),
        )
        if row.size and row.storage_class != storage.storage_class:
            return _copy_bytes(source, source_key, row, target, new, storage, conditions, algorithm)
        chosen = find_parts(row) if row.parts_count else []
        if row.parts_count and not chosen:
            continue  # overwritten after its row was read
        refuse_damaged(row.blob_state, *(part.state for part in chosen))
        if algorithm and (row.checksum_algorithm, row.checksum_type) != (algorithm, checksums.FULL_OBJECT):
            pieces = open_span(row, 0, row.size)
            if pieces is None:
                continue
            checksum = CopiedPayload(pieces, row.size, algorithm).drain()
            new = replace(new, checksum_algorithm=algorithm, checksum_type=checksums.FULL_OBJECT, checksum=checksum)
        step = _step_of(row)
        content = Content(step, row.blob_name, row.crc64nvme, chosen)
        return _result(new, publish(target, new, content, storage, conditions, "Copy"))


def _step_of(row: ObjectRow) -> BlobStep:
    """Return the step that gives a copy the bytes of its source. Raises BlobDamaged."""
    if row.blob_id is not None:
        return shared_blob(row.blob_id)
    return in_row(bytes_in_row(row), row.crc64nvme) if row.size and not row.parts_count else no_blob()


def _copy_bytes(
    source: Grant,
    source_key: str,
    row: ObjectRow,
    target: Grant,
    like: NewObject,
    storage: Storage,
    conditions: Conditions,
    algorithm: str,
) -> CopyResult:
    """Copy to another storage. The copy is one blob, even if the source has parts."""
    opened = open_object(source, source_key, Conditions(if_match=f'"{row.etag}"'))
    algorithm = algorithm or row.checksum_algorithm or checksums.DEFAULT_ALGORITHM
    payload = CopiedPayload(opened.body, opened.span.length, algorithm)
    saved = blobs.save(storage, target.bucket.name, like.key, payload, described=True, ahead=False)
    new = replace(
        like,
        etag=payload.md5,
        checksum_algorithm=payload.checksum_algorithm,
        checksum_type="FULL_OBJECT",
        checksum=payload.checksum,
        parts_count=0,
        sidecar=saved.sidecar,
    )
    try:
        content = Content(saved.step, saved.name, saved.crc64nvme)
        return _result(new, publish(target, new, content, storage, conditions, "Copy"))
    except SURELY_NOT_WRITTEN:
        discard_quietly(saved.discard)
        raise


def _result(new: NewObject, published: Published) -> CopyResult:
    return CopyResult(new.etag, new.last_modified, new.checksum_algorithm, new.checksum_type, new.checksum, published)
