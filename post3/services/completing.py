"""The checks of CompleteMultipartUpload: the listed parts, their checksums and sizes, and the object's checksum."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import md5
from itertools import pairwise

from .. import checksums
from ..conf import conf
from ..errors import BadDigest, EntityTooLarge, EntityTooSmall, InvalidPart, InvalidPartOrder, InvalidRequest, MalformedXML
from ..models import MultipartUpload, UploadPart
from ..values import CompletedPart


@dataclass(frozen=True, slots=True)
class Completed:
    etag: str
    checksum_algorithm: str
    checksum_type: str
    checksum: str


def check_type(upload: MultipartUpload, checksum_type: str) -> None:
    """Raise InvalidRequest if the client's checksum type ("": none) is not that of the upload (B142)."""
    if checksum_type and checksum_type != upload.checksum_type:
        raise InvalidRequest(
            f"The upload was created using the {upload.checksum_type or 'null'} checksum mode. The complete request must use "
            "the same checksum mode."
        )


def chosen_parts(upload: MultipartUpload, listed: Sequence[CompletedPart]) -> list[UploadPart]:
    """Return the listed parts as they were uploaded, with their blobs.

    Raises MalformedXML (no part is listed), InvalidPartOrder, BadDigest, InvalidRequest, InvalidPart, EntityTooSmall,
    EntityTooLarge.
    """
    if not listed:
        raise MalformedXML()
    numbers = [part.part_number for part in listed]
    if any(later <= earlier for earlier, later in pairwise(numbers)):
        raise InvalidPartOrder(UploadId=upload.upload_id)
    if upload.checksum_algorithm:
        _check_algorithms(upload, listed)
    there = {part.part_number: part for part in upload.parts.select_related("blob")}
    chosen = []
    for part in listed:
        found = there.get(part.part_number)
        if found is None or not _is_as_listed(found, part):
            raise InvalidPart(UploadId=upload.upload_id, PartNumber=part.part_number, ETag=part.etag)
        chosen.append(found)
    _check_sizes(chosen)
    return chosen


def _is_as_listed(found: UploadPart, listed: CompletedPart) -> bool:
    """Whether a part has the ETag and the checksums that the client lists.

    A checksum that the upload lacks does not match either, even if the client sent it with the part (B142).
    """
    sums = listed.checksums.items()
    return found.etag == listed.etag and all((found.checksum_algorithm, found.checksum) == sent for sent in sums)


def _check_algorithms(upload: MultipartUpload, listed: Sequence[CompletedPart]) -> None:
    """Check the algorithms of the listed checksums.

    Raises BadDigest if one is not the upload's (B142), InvalidRequest if a checksum is missing (B063).
    """
    for part in listed:
        for algorithm in part.checksums:
            if algorithm != upload.checksum_algorithm:
                raise BadDigest(
                    f"The {algorithm.lower()} you specified for part {part.part_number} did not match what we received."
                )
    for part in listed:
        if upload.checksum_type == checksums.COMPOSITE and upload.checksum_algorithm not in part.checksums:
            raise InvalidRequest(
                f"The upload was created using a {upload.checksum_algorithm.lower()} checksum. The complete request must include "
                f"the checksum for each part. It was missing for part {part.part_number} in the request."
            )


def _check_sizes(parts: Sequence[UploadPart]) -> None:
    for part in parts[:-1]:
        if part.size < conf.MIN_PART_SIZE:
            raise EntityTooSmall(
                ProposedSize=part.size, MinSizeAllowed=conf.MIN_PART_SIZE, PartNumber=part.part_number, ETag=part.etag
            )
    size = sum(part.size for part in parts)
    if size > conf.MAX_OBJECT_SIZE:
        raise EntityTooLarge(ProposedSize=size, MaxSizeAllowed=conf.MAX_OBJECT_SIZE)


def summary(upload: MultipartUpload, parts: Sequence[UploadPart], expected: dict[str, str]) -> Completed:
    """Return the object's ETag, the MD5 of the parts' MD5s, and its checksum, combined from those of the parts.

    `expected`: the client's checksums of the whole object, by algorithm. Raises BadDigest if one differs.
    """
    etag = f"{md5(b''.join(bytes.fromhex(part.etag) for part in parts), usedforsecurity=False).hexdigest()}-{len(parts)}"
    algorithm = upload.checksum_algorithm or checksums.DEFAULT_ALGORITHM
    checksum_type = upload.checksum_type or checksums.FULL_OBJECT
    if any(part.checksum_algorithm != algorithm for part in parts):
        return Completed(etag, "", "", "")
    if checksum_type == checksums.COMPOSITE:
        checksum = checksums.composite(algorithm, [part.checksum for part in parts])
    else:
        checksum = checksums.full_object(algorithm, [(part.checksum, part.size) for part in parts])
    if not upload.checksum_algorithm:  # S3 ignores the others, because it cannot verify them (B142)
        expected = {name: sent for name, sent in expected.items() if name == algorithm}
    for name, sent in expected.items():
        # Clients send a COMPOSITE checksum with or without the number of parts.
        if name != algorithm or sent not in (checksum, checksum.partition("-")[0]):
            raise BadDigest(f"The {algorithm.lower()} you specified did not match the calculated checksum.")
    return Completed(etag, algorithm, checksum_type, checksum)
