"""Multipart uploads: begin, take parts, complete by reference, abort."""

from collections.abc import Sequence
from datetime import UTC, datetime

from django.db import IntegrityError, connection, transaction

from .. import checksums
from ..access.callers import Caller
from ..catalogue.attributes import HEADERS
from ..catalogue.buckets import find_bucket
from ..catalogue.parts import PartBlob
from ..catalogue.removing import remove_upload
from ..catalogue.rows import NewObject
from ..catalogue.writing import BlobStep, make_blob, no_blob
from ..errors import InvalidPart, InvalidRequest, NoSuchBucket, NoSuchUpload
from ..models import MultipartUpload as MultipartUpload  # views name it
from ..models import MultipartUploadMetadata, Object
from ..models import UploadPart as UploadPart
from ..values import Completion, Conditions, Description, Payload
from . import blobs, completing, upload_ids
from .completing import Completed
from .disk_reserve import may_use_reserve
from .objects import check_key
from .publishing import SURELY_NOT_WRITTEN, discard_quietly, lost_bytes, publish, translate_disk_full
from .verifying import refuse_damaged


def create_multipart_upload(
    bucket: str, key: str, caller: Caller, description: Description, checksum_algorithm: str, checksum_type: str
) -> MultipartUpload:
    """Begin an upload. Raises NoSuchBucket, KeyTooLongError, InvalidStorageClass."""
    check_key(key)
    blobs.storage_for(description.storage_class)
    bucket_id = find_bucket(bucket).id
    try:
        with transaction.atomic():
            latest = (
                Object.objects.filter(bucket_id=bucket_id, key=key, is_latest=True).values_list("sequence", flat=True).first()
            )
            upload = MultipartUpload.objects.create(
                upload_id=upload_ids.make(bucket_id, key),
                bucket_id=bucket_id,
                key=key,
                owner_id=caller.known_user_id,
                storage_class=description.storage_class,
                checksum_algorithm=checksum_algorithm,
                checksum_type=checksum_type,
                initiated_at=datetime.now(UTC),
                key_sequence=latest or 0,
                **{name: description.given.get(name, "") for name in HEADERS},
            )
            MultipartUploadMetadata.objects.bulk_create(
                MultipartUploadMetadata(upload=upload, name=name, value=value)
                for name, value in description.given["metadata"].items()
            )
    except IntegrityError:  # the bucket was deleted since it was found
        raise NoSuchBucket(BucketName=bucket) from None
    return upload


def find_upload(bucket: str, key: str, upload_id: str, lock: bool = False) -> MultipartUpload:
    """Return an upload under way; with `lock`, nobody else ends it or adds a part meanwhile. Raises NoSuchUpload."""
    found = MultipartUpload.objects.filter(upload_id=upload_id, bucket__name=bucket, key=key)
    if lock and connection.features.has_select_for_update:
        found = found.select_for_update(of=("self",))
    upload = found.first()
    if upload is None:
        find_bucket(bucket)
        raise NoSuchUpload(UploadId=upload_id)
    return upload


def upload_part(upload: MultipartUpload, bucket: str, part_number: int, payload: Payload) -> UploadPart:
    """Store a part, in place of an earlier one of that number. Raises NoSuchUpload, InvalidRequest, what the payload raises."""
    storage = blobs.storage_for(upload.storage_class)
    if not upload.checksum_algorithm and payload.checksum_algorithm != checksums.DEFAULT_ALGORITHM:
        payload = blobs.Rehashed(payload, checksums.DEFAULT_ALGORITHM)
    elif upload.checksum_algorithm and payload.checksum_algorithm != upload.checksum_algorithm:
        raise InvalidRequest(
            f"Checksum Type mismatch occurred, expected checksum Type: {upload.checksum_algorithm.lower()}, "
            f"actual checksum Type: {payload.checksum_algorithm.lower()}"
        )
    saved = blobs.save(storage, bucket, upload.key, payload, described=False)
    part = UploadPart(
        upload=upload,
        part_number=part_number,
        etag=payload.md5,
        size=saved.size,
        checksum_algorithm=payload.checksum_algorithm,
        checksum=payload.checksum,
        last_modified=datetime.now(UTC),
    )
    try:
        return publish_part(part, bucket, saved.step)
    except SURELY_NOT_WRITTEN:
        discard_quietly(saved.discard)
        raise


def publish_part(part: UploadPart, bucket: str, step: BlobStep) -> UploadPart:
    """Commit a part whose bytes are saved. Raises NoSuchUpload where the upload ended meanwhile."""
    fields = ["etag", "size", "checksum_algorithm", "checksum", "last_modified", "blob"]
    try:
        with translate_disk_full(), transaction.atomic():
            part.blob_id = make_blob(bucket, step)
            if part.blob_id is None and part.size:
                if MultipartUpload.objects.filter(pk=part.upload.pk).exists():
                    raise lost_bytes()
                find_bucket(bucket)
                raise NoSuchUpload(UploadId=part.upload.upload_id)
            UploadPart.objects.bulk_create(
                [part], update_conflicts=True, unique_fields=["upload", "part_number"], update_fields=fields
            )
    except IntegrityError:  # the upload's row is gone, with its bucket or without
        find_bucket(bucket)
        raise NoSuchUpload(UploadId=part.upload.upload_id) from None
    return part


def complete_multipart_upload(bucket: str, key: str, upload_id: str, completion: Completion, conditions: Conditions) -> Completed:
    """Make the listed parts one object, by reference: no byte is copied.

    Raises NoSuchUpload, InvalidPart, InvalidPartOrder, EntityTooSmall, EntityTooLarge, MalformedXML (no parts),
    InvalidRequest, BadDigest, PreconditionFailed, ConditionalRequestConflict.
    """
    try:
        return _complete(bucket, key, upload_id, completion, conditions)
    except (NoSuchUpload, InvalidPart):
        completed = _completed_already(bucket, key, upload_id)
        if completed is None:
            find_upload(bucket, key, upload_id)  # it may have ended between the looks at it and at its parts
            raise
        return completed


def _complete(bucket: str, key: str, upload_id: str, completion: Completion, conditions: Conditions) -> Completed:
    upload = find_upload(bucket, key, upload_id)
    storage = blobs.storage_for(upload.storage_class)
    completing.check_type(upload, completion.checksum_type)
    parts = completing.chosen_parts(upload, completion.parts)
    refuse_damaged(*(part.blob.state for part in parts if part.blob))
    chosen = _as_blobs(parts)
    size = sum(part.size for part in parts)
    if completion.size is not None and completion.size != size:
        raise InvalidRequest(
            f"The provided 'x-amz-mp-object-size' header value {completion.size} does not match what was computed: {size}"
        )
    completed = completing.summary(upload, parts, completion.checksums)
    new = NewObject(
        key=key,
        owner_id=upload.owner_id,
        size=size,
        etag=completed.etag,
        storage_class=upload.storage_class,
        last_modified=datetime.now(UTC),
        checksum_algorithm=completed.checksum_algorithm,
        checksum_type=completed.checksum_type,
        checksum=completed.checksum,
        parts_count=len(parts),
        upload_id=upload_id,
        sidecar=storage.new_name(bucket, key) if storage.describes else "",
        metadata=dict(upload.metadata.values_list("name", "value")),
        **{name: getattr(upload, name) for name in HEADERS},
    )

    def end_upload() -> int | None:
        """Take the upload away, unless a part changed or the upload ended since it was read."""
        locked = find_upload(bucket, key, upload_id, lock=True)
        now = {part.pk: part.blob_id for part in UploadPart.objects.filter(upload=upload)}
        if any(now.get(part.pk, -1) != part.blob_id for part in parts):
            raise InvalidPart(UploadId=upload_id)
        remove_upload(upload.pk)
        return locked.key_sequence

    publish(bucket, new, no_blob(), storage, conditions, parts=chosen, within=end_upload)
    return completed


def _completed_already(bucket: str, key: str, upload_id: str) -> Completed | None:
    """Return what this upload was completed to, for a client that asks again because it missed the answer (B088)."""
    found = Object.objects.filter(bucket__name=bucket, key=key, is_latest=True, upload_id=upload_id)
    values = found.values_list("etag", "checksum_algorithm", "checksum_type", "checksum").first()
    return Completed(*values) if values else None


def _as_blobs(parts: Sequence[UploadPart]) -> list[PartBlob]:
    chosen, offset = [], 0
    for part in parts:
        blob = (part.blob.name, part.blob.md5, part.blob.crc64nvme or "") if part.blob else ("", "", "")
        chosen.append(PartBlob(part.part_number, offset, part.size, part.checksum, part.blob_id, *blob))
        offset += part.size
    return chosen


@may_use_reserve
def abort_multipart_upload(bucket: str, key: str, upload_id: str) -> None:
    """End an upload and let go of its parts. Raises NoSuchUpload."""
    remove_upload(find_upload(bucket, key, upload_id).pk)


def find_parts(upload: MultipartUpload, after: int, limit: int) -> list[UploadPart]:
    """Return up to `limit` parts with a number > `after`, in order."""
    return list(upload.parts.filter(part_number__gt=after).order_by("part_number")[:limit])
