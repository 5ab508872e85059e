"""CopyObject and UploadPartCopy."""

from ...errors import InvalidArgument
from ...s3 import checksum_headers, headers, parameters, responses
from ...s3.documents import Node
from ...s3.request import S3Request
from ...s3.responses import S3Response
from ...services import copies, multipart, part_copies
from .describing import description_of, version_headers

_SOURCE_CONDITIONS = "x-amz-copy-source-if-"


def copy_object(request: S3Request) -> S3Response:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html (B074 to B080)"""
    directive = request.header("x-amz-metadata-directive") or "COPY"
    if directive not in ("COPY", "REPLACE"):
        raise InvalidArgument("Unknown metadata directive.", ArgumentName="x-amz-metadata-directive", ArgumentValue=directive)
    copy = copies.copy_object(
        request.source,
        headers.copy_source_of(request)[1],
        headers.conditions_of(request, _SOURCE_CONDITIONS),
        request.grant,
        request.key,
        description_of(request) if directive == "REPLACE" else None,
        request.header("x-amz-storage-class") or None,
        headers.conditions_of(request),
        checksum_headers.named_algorithm(request),
    )
    nodes: list[Node] = [("LastModified", copy.last_modified), ("ETag", f'"{copy.etag}"')]
    if copy.checksum:
        nodes += [(f"Checksum{copy.checksum_algorithm}", copy.checksum), ("ChecksumType", copy.checksum_type)]
    return responses.xml("CopyObjectResult", nodes, version_headers(copy.published))


def upload_part_copy(request: S3Request) -> S3Response:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPartCopy.html (B079 to B082)"""
    part = part_copies.upload_part_copy(
        request.grant,
        multipart.find_upload(request.grant, request.key, request.query["uploadId"]),
        parameters.part_number_of(request),
        request.source,
        headers.copy_source_of(request)[1],
        headers.conditions_of(request, _SOURCE_CONDITIONS),
        headers.copy_range_of(request),
    )
    nodes: list[Node] = [("LastModified", part.last_modified), ("ETag", f'"{part.etag}"')]
    if part.upload.checksum_algorithm:
        nodes.append((f"Checksum{part.checksum_algorithm}", part.checksum))
    return responses.xml("CopyPartResult", nodes)
