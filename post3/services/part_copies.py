"""UploadPartCopy. A part that is a whole blob is copied by reference, any other by reading the bytes."""

from collections.abc import Iterator
from datetime import UTC, datetime
from hashlib import md5

from .. import checksums
from ..access.permissions import Grant
from ..catalogue.blob_steps import shared_blob
from ..catalogue.rows import ObjectRow
from ..conf import conf
from ..errors import InvalidArgument, InvalidRequest
from ..models import Blob, MultipartUpload, UploadPart
from ..values import ByteRange, Conditions
from . import multipart
from .conditions import check_copy_source
from .objects import head_object, open_object


def upload_part_copy(
    grant: Grant,
    upload: MultipartUpload,
    part_number: int,
    source: Grant,
    source_key: str,
    conditions: Conditions,
    byte_range: ByteRange | None,
) -> UploadPart:
    """Copy an object, or a range of it, to a part of an upload.

    Raises NoSuchBucket, NoSuchKey, NoSuchUpload, PreconditionFailed, InvalidArgument (the range ends after the source),
    InvalidRequest (the range starts after the source; over 5 GiB).
    """
    row = head_object(source, source_key, Conditions())
    check_copy_source(conditions, row.etag, row.last_modified)
    if byte_range is not None and (byte_range.first or 0) >= row.size:
        raise InvalidRequest("The specified copy range is invalid for the source object size")  # B081
    if byte_range is not None and (byte_range.last or 0) >= row.size:
        raise InvalidArgument.of_copy_range(byte_range.text, row.size)
    shared = _by_reference(grant, upload, part_number, row, byte_range)
    if shared is not None:
        return shared
    opened = open_object(source, source_key, Conditions(if_match=f'"{row.etag}"'), byte_range)
    if opened.span.length > conf.MAX_BODY_SIZE:
        raise InvalidRequest(
            f"The specified copy source is larger than the maximum allowable size for a copy source: {conf.MAX_BODY_SIZE}"
        )
    algorithm = upload.checksum_algorithm or checksums.DEFAULT_ALGORITHM
    payload = CopiedPayload(opened.body, opened.span.length, algorithm)
    return multipart.upload_part(grant, upload, part_number, payload)


def _by_reference(
    grant: Grant, upload: MultipartUpload, part_number: int, row: ObjectRow, byte_range: ByteRange | None
) -> UploadPart | None:
    """Share the source's blob if it is copied whole within a storage and has a suitable checksum; else return None."""
    algorithm = upload.checksum_algorithm or checksums.DEFAULT_ALGORITHM
    wanted = byte_range is None or (byte_range.first == 0 and byte_range.last == row.size - 1)
    if not wanted or row.blob_id is None or row.storage_class != upload.storage_class or row.size > conf.MAX_BODY_SIZE:
        return None
    if row.checksum_algorithm != algorithm or row.checksum_type != checksums.FULL_OBJECT:
        return None
    part = UploadPart(
        upload=upload,
        part_number=part_number,
        etag=row.etag,
        size=row.size,
        checksum_algorithm=algorithm,
        checksum=row.checksum,
        last_modified=datetime.now(UTC),
    )
    if not Blob.objects.filter(pk=row.blob_id, state=Blob.State.STORED).exists():
        return None
    return multipart.publish_part(grant, part, shared_blob(row.blob_id))


class CopiedPayload:
    """An opened object as a payload. It is hashed while it is read, like the body of a request."""

    def __init__(self, body: bytes | Iterator[bytes], length: int, algorithm: str) -> None:
        self.length = length
        self.md5, self.checksum_algorithm, self.checksum = "", algorithm, ""
        self._pieces: Iterator[bytes] = iter((body,) if isinstance(body, bytes) else body)
        self._piece, self._position = b"", 0
        self._md5, self._hasher = md5(usedforsecurity=False), checksums.new_hasher(algorithm)

    def read(self, size: int = -1, /) -> bytes:
        if self._position >= len(self._piece):
            self._piece, self._position = next(self._pieces, b""), 0
            if not self._piece:
                self.md5, self.checksum = self._md5.hexdigest(), self._hasher.base64()
                return b""
        end = len(self._piece) if size < 0 else self._position + size
        data = self._piece[self._position : end]
        self._position += len(data)
        self._md5.update(data)
        self._hasher.update(data)
        return data

    def drain(self) -> str:
        """Read to the end and return the checksum."""
        while self.read():
            pass
        return self.checksum
