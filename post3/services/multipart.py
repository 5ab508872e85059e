"""Multipart uploads: create them, store parts, complete by reference, abort."""

from collections.abc import Sequence
from datetime import UTC, datetime

from django.db import IntegrityError, connection, transaction
from django.db.models import F

from .. import checksums
from ..access.permissions import Grant
from ..catalogue.attributes import BY_KIND, Kind
from ..catalogue.blob_steps import BlobStep, no_blob
from ..catalogue.buckets import check_current
from ..catalogue.parts import PartBlob
from ..catalogue.removing import remove_upload
from ..catalogue.rows import NewObject, Published
from ..catalogue.writing import enter, make_blob
from ..errors import InvalidPart, InvalidRequest, NoSuchBucket, NoSuchUpload
from ..models import MultipartUpload as MultipartUpload  # for the views
from ..models import Object
from ..models import UploadPart as UploadPart
from ..values import Completion, Conditions, Description, Payload
from . import blobs, completing, upload_ids
from .completing import Completed
from .disk_reserve import may_use_reserve
from .objects import check_key
from .publishing import SURELY_NOT_WRITTEN, Content, discard_quietly, lost_bytes, publish, translate_disk_full
from .renewing import refresh, renewing
from .verifying import refuse_damaged


@renewing
def create_multipart_upload(
    grant: Grant, key: str, description: Description, checksum_algorithm: str, checksum_type: str
) -> MultipartUpload:
    """Create an upload. Raises NoSuchBucket, KeyTooLongError, InvalidStorageClass."""
    check_key(key)
    blobs.storage_for(description.storage_class)
    bucket_id = grant.bucket.id
    try:
        with transaction.atomic():
            enter(grant.bucket)
            latest = (
                Object.objects.filter(bucket_id=bucket_id, key=key, is_latest=True).values_list("revision", flat=True).first()
            )
            upload = MultipartUpload.objects.create(
                upload_id=upload_ids.make(bucket_id, key),
                bucket_id=bucket_id,
                key=key,
                owner_id=grant.caller.known_user_id,
                storage_class=description.storage_class,
                checksum_algorithm=checksum_algorithm,
                checksum_type=checksum_type,
                initiated_at=datetime.now(UTC),
                key_revision=latest or 0,
                **description.given,
            )
    except IntegrityError:  # the bucket was deleted meanwhile
        raise NoSuchBucket(BucketName=grant.bucket.name) from None
    return upload


@renewing
def find_upload(grant: Grant, key: str, upload_id: str, lock: bool = False) -> MultipartUpload:
    """Return an unfinished upload. `lock`: prevent others from ending it or adding parts until the transaction ends.

    Raises NoSuchBucket, NoSuchUpload.
    """
    found = MultipartUpload.objects.filter(upload_id=upload_id, bucket_id=grant.bucket.id, key=key)
    if lock and connection.features.has_select_for_update:
        found = found.select_for_update(of=("self",))
    upload = found.annotate(config_version=F("bucket__config_version")).first()
    if upload is None:
        refresh(grant)
        raise NoSuchUpload(UploadId=upload_id)
    check_current(grant.bucket, upload.config_version)
    return upload


def upload_part(grant: Grant, upload: MultipartUpload, part_number: int, payload: Payload) -> UploadPart:
    """Store a part, replacing any with the same number. Raises NoSuchUpload, InvalidRequest, errors of the payload."""
    storage = blobs.storage_for(upload.storage_class)
    if not upload.checksum_algorithm and payload.checksum_algorithm != checksums.DEFAULT_ALGORITHM:
        payload = blobs.Rehashed(payload, checksums.DEFAULT_ALGORITHM)
    elif upload.checksum_algorithm and payload.checksum_algorithm != upload.checksum_algorithm:
        raise InvalidRequest(
            f"Checksum Type mismatch occurred, expected checksum Type: {upload.checksum_algorithm.lower()}, "
            f"actual checksum Type: {payload.checksum_algorithm.lower()}"
        )
    saved = blobs.save(storage, grant.bucket.name, upload.key, payload, described=False)
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
        return publish_part(grant, part, saved.step)
    except SURELY_NOT_WRITTEN:
        discard_quietly(saved.discard)
        raise


@renewing
def publish_part(grant: Grant, part: UploadPart, step: BlobStep) -> UploadPart:
    """Commit a part whose bytes are saved. Raises NoSuchUpload if the upload ended meanwhile."""
    fields = ["etag", "size", "checksum_algorithm", "checksum", "last_modified", "blob"]
    try:
        with translate_disk_full(), transaction.atomic():
            part.blob_id = make_blob(grant.bucket, step)
            if part.blob_id is None and part.size:
                if MultipartUpload.objects.filter(pk=part.upload.pk).exists():
                    raise lost_bytes()
                raise NoSuchUpload(UploadId=part.upload.upload_id)
            UploadPart.objects.bulk_create(
                [part], update_conflicts=True, unique_fields=["upload", "part_number"], update_fields=fields
            )
    except IntegrityError:  # the upload was deleted, perhaps with its bucket
        refresh(grant)
        raise NoSuchUpload(UploadId=part.upload.upload_id) from None
    return part


def complete_multipart_upload(
    grant: Grant, key: str, upload_id: str, completion: Completion, conditions: Conditions
) -> tuple[Completed, Published | None]:
    """Join the listed parts into one object by reference. No bytes are copied.

    Return the completed object, and the published version, which is None if an earlier request completed the upload.
    Raises NoSuchUpload, InvalidPart, InvalidPartOrder, EntityTooSmall, EntityTooLarge, MalformedXML (no parts),
    InvalidRequest, BadDigest, PreconditionFailed, ConditionalRequestConflict.
    """
    try:
        return _complete(grant, key, upload_id, completion, conditions)
    except (NoSuchUpload, InvalidPart):
        completed = _completed_already(grant, key, upload_id)
        if completed is None:
            find_upload(grant, key, upload_id)  # it may have ended between reading it and its parts
            raise
        return completed, None


def _complete(
    grant: Grant, key: str, upload_id: str, completion: Completion, conditions: Conditions
) -> tuple[Completed, Published]:
    upload = find_upload(grant, key, upload_id)
    storage = blobs.storage_for(upload.storage_class)
    completing.check_type(upload, completion.checksum_type)
    parts = completing.chosen_parts(upload, completion.parts)
    refuse_damaged(*(part.blob.state for part in parts if part.blob))
    chosen = _as_blobs(parts)
    size = sum(part.size for part in parts)
    if completion.size is not None and completion.size != size:
        raise InvalidRequest.of_upload_size(completion.size, size)
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
        sidecar=blobs.new_sidecar(storage, grant.bucket.name, key),
        **{name: getattr(upload, name) for name in BY_KIND[Kind.GIVEN]},
    )

    def end_upload() -> int | None:
        """Remove the upload. Raises InvalidPart or NoSuchUpload if a part changed or the upload ended meanwhile."""
        locked = find_upload(grant, key, upload_id, lock=True)
        now = {part.pk: part.blob_id for part in UploadPart.objects.filter(upload=upload)}
        if any(now.get(part.pk, -1) != part.blob_id for part in parts):
            raise InvalidPart(UploadId=upload_id)
        remove_upload(upload.pk)
        return locked.key_revision

    content = Content(no_blob(), parts=chosen)
    return completed, publish(grant, new, content, storage, conditions, "CompleteMultipartUpload", within=end_upload)


def _completed_already(grant: Grant, key: str, upload_id: str) -> Completed | None:
    """Return the object that this upload was completed to, for a client that repeats the request (B088)."""
    found = Object.objects.filter(bucket_id=grant.bucket.id, key=key, is_latest=True, upload_id=upload_id)
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
def abort_multipart_upload(grant: Grant, key: str, upload_id: str) -> None:
    """End an upload and release its parts. Raises NoSuchUpload."""
    remove_upload(find_upload(grant, key, upload_id).pk)


def find_parts(upload: MultipartUpload, after: int, limit: int) -> list[UploadPart]:
    """Return up to `limit` parts with a number > `after`, in order."""
    return list(upload.parts.filter(part_number__gt=after).order_by("part_number")[:limit])
