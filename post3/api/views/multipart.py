"""Multipart uploads: create, upload a part, complete, abort, list."""

from urllib.parse import quote

from ... import checksums
from ...access.owners import canonical_id
from ...errors import InvalidRequest, MalformedXML
from ...s3 import checksum_headers, headers, parameters, responses
from ...s3.documents import Node
from ...s3.payload import open_payload
from ...s3.request import S3Request
from ...s3.responses import S3Response
from ...services import multipart, upload_listings
from ...services.multipart import MultipartUpload, UploadPart
from .completion import completion_of
from .describing import description_of, version_headers


def create_multipart_upload(request: S3Request) -> S3Response:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_CreateMultipartUpload.html (B061)"""
    algorithm = checksum_headers.named_algorithm(request)
    asked = request.header("x-amz-checksum-type")
    if asked and not algorithm:
        raise InvalidRequest("The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.")
    checksum_type = checksum_headers.parse_type(algorithm, asked) if algorithm else ""
    upload = multipart.create_multipart_upload(request.grant, request.key, description_of(request), algorithm, checksum_type)
    nodes: list[Node] = [("Bucket", request.bucket), ("Key", request.key), ("UploadId", upload.upload_id)]
    fields = {"x-amz-checksum-algorithm": algorithm, "x-amz-checksum-type": checksum_type} if algorithm else {}
    return responses.xml("InitiateMultipartUploadResult", nodes, fields)


def upload_part(request: S3Request) -> S3Response:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_UploadPart.html (B006, B063, B082)"""
    part_number = parameters.part_number_of(request)
    upload = multipart.find_upload(request.grant, request.key, request.query["uploadId"])
    algorithm = upload.checksum_algorithm or checksums.DEFAULT_ALGORITHM
    payload = open_payload(request, request.signing, algorithm, hex_digest=False)  # B031
    part = multipart.upload_part(request.grant, upload, part_number, payload)
    found = {"ETag": f'"{part.etag}"'}
    if upload.checksum_algorithm or payload.client_checksum:
        found[checksum_headers.header_name(payload.checksum_algorithm)] = payload.checksum
    return responses.empty(200, found)


def complete_multipart_upload(request: S3Request) -> S3Response:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_CompleteMultipartUpload.html (B083 to B088, B140 to B142)"""
    upload_id = request.query["uploadId"]
    try:
        completion = completion_of(request)
    except MalformedXML:
        multipart.find_upload(request.grant, request.key, upload_id)  # NoSuchUpload comes first (B140)
        raise
    completed, published = multipart.complete_multipart_upload(
        request.grant, request.key, upload_id, completion, headers.conditions_of(request)
    )
    host = request.forwarded_host or request.header("host")
    location = f"{'https' if request.secure else 'http'}://{host}/{request.bucket}/{quote(request.key, safe='')}"
    nodes: list[Node] = [
        ("Location", location),
        ("Bucket", request.bucket),
        ("Key", request.key),
        ("ETag", f'"{completed.etag}"'),
    ]
    if completed.checksum:
        nodes += [
            (f"Checksum{completed.checksum_algorithm}", completed.checksum),
            ("ChecksumType", completed.checksum_type),
        ]
    return responses.xml("CompleteMultipartUploadResult", nodes, version_headers(published) if published else {})


def abort_multipart_upload(request: S3Request) -> S3Response:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_AbortMultipartUpload.html (B092)"""
    multipart.abort_multipart_upload(request.grant, request.key, request.query["uploadId"])
    return responses.empty(204)


def list_parts(request: S3Request) -> S3Response:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListParts.html (B090)"""
    limit = parameters.page_size(request, "max-parts", "max-parts")
    marker = parameters.marker_number(request, "part-number-marker")
    upload = multipart.find_upload(request.grant, request.key, request.query["uploadId"])
    found = multipart.find_parts(upload, marker, limit + 1)
    page = found[:limit]
    encode = parameters.encode_name if parameters.url_encoding(request) else str
    nodes: list[Node] = [
        ("Bucket", request.bucket),
        ("Key", encode(request.key)),
        ("UploadId", upload.upload_id),
        *_owners(upload),
        ("StorageClass", upload.storage_class),
        ("PartNumberMarker", marker),
        ("NextPartNumberMarker", page[-1].part_number if page else 0),
        ("MaxParts", limit),
        ("IsTruncated", len(found) > limit and limit > 0),
        ("ChecksumAlgorithm", upload.checksum_algorithm or None),
        ("ChecksumType", upload.checksum_type or None),
        *(("Part", _part(part, upload)) for part in page),
    ]
    return responses.xml("ListPartsResult", nodes)


def _owners(upload: MultipartUpload) -> list[Node]:
    owner: list[Node] = [("ID", canonical_id(upload.owner_id))]
    return [("Initiator", owner), ("Owner", owner)]


def _part(part: UploadPart, upload: MultipartUpload) -> list[Node]:
    shown = part.checksum if upload.checksum_algorithm else None
    return [
        ("PartNumber", part.part_number),
        ("LastModified", part.last_modified),
        ("ETag", f'"{part.etag}"'),
        ("Size", part.size),
        (f"Checksum{part.checksum_algorithm}", shown),
    ]


def list_multipart_uploads(request: S3Request) -> S3Response:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListMultipartUploads.html (B091)"""
    query = request.query
    prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
    key_marker = query.get("key-marker", "")
    id_marker = query.get("upload-id-marker", "") if key_marker else ""
    limit = parameters.page_size(request, "max-uploads", "max-uploads")
    encoded = parameters.url_encoding(request)
    encode = parameters.encode_name if encoded else str
    page = upload_listings.list_uploads(request.grant, prefix, delimiter, key_marker, id_marker, limit)
    nodes: list[Node] = [
        ("Bucket", request.bucket),
        ("KeyMarker", encode(key_marker)),
        ("UploadIdMarker", id_marker),
        ("NextKeyMarker", encode(page.next_key)),
        ("NextUploadIdMarker", page.next_upload_id),
        ("Delimiter", encode(delimiter) if delimiter else None),
        ("Prefix", encode(prefix) if prefix else None),
        ("MaxUploads", limit),
        ("EncodingType", "url" if encoded else None),
        ("IsTruncated", page.is_truncated),
        *(("Upload", _upload(upload, encode(upload.key))) for upload in page.uploads),
        *responses.common_prefixes(map(encode, page.prefixes)),
    ]
    return responses.xml("ListMultipartUploadsResult", nodes)


def _upload(upload: MultipartUpload, key: str) -> list[Node]:
    return [
        ("Key", key),
        ("UploadId", upload.upload_id),
        *_owners(upload),
        ("StorageClass", upload.storage_class),
        ("Initiated", upload.initiated_at),
        ("ChecksumAlgorithm", upload.checksum_algorithm or None),
        ("ChecksumType", upload.checksum_type or None),
    ]
