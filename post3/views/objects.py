"""PutObject, GetObject, HeadObject, DeleteObject, DeleteObjects."""

from ..errors import InvalidArgument, InvalidRequest, MalformedXML
from ..s3 import headers, parameters, responses
from ..s3.documents import Node, parse, text_of
from ..s3.payload import open_payload, read_document
from ..s3.request import S3Request
from ..s3.responses import S3Response
from ..services import objects
from .describing import check_span, checksum_headers, description_of, object_headers

_MAX_KEYS = 1000
#: A thousand keys of a thousand characters, each of which may be written as a reference of several.
_MAX_DOCUMENT = 8 * 1024 * 1024


def put_object(request: S3Request) -> S3Response:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html (B024 to B035)"""
    put = objects.put_object(
        request.bucket,
        request.key,
        request.identity.user_id,
        description_of(request),
        open_payload(request, request.signing),
        headers.conditions_of(request),
    )
    found = checksum_headers(put.checksum_algorithm, put.checksum, "FULL_OBJECT")
    return responses.empty(200, {"ETag": f'"{put.etag}"', **found})


def get_object(request: S3Request) -> S3Response:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html (B049 to B057)"""
    parameters.check_version_id(request)
    part_number = parameters.read_part_number(request)
    check_span(request, part_number)
    found = objects.open_object(
        request.bucket, request.key, headers.conditions_of(request), headers.range_of(request), part_number
    )
    fields = object_headers(request, found.row, found.span)
    if part_number is not None and found.parts_count:
        fields["x-amz-mp-parts-count"] = str(found.parts_count)
    status = 206 if found.span.partial else 200
    return responses.whole(found.body, status, fields)


def head_object(request: S3Request) -> S3Response:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_HeadObject.html (B049 to B057)"""
    parameters.check_version_id(request)
    part_number = parameters.read_part_number(request)
    check_span(request, part_number)
    row = objects.head_object(request.bucket, request.key, headers.conditions_of(request))
    span = objects.span_of(row, headers.range_of(request), part_number)
    fields = object_headers(request, row, span)
    if part_number is not None and row.parts_count:
        fields["x-amz-mp-parts-count"] = str(row.parts_count)
    return responses.whole(b"", 206 if span.partial else 200, fields)


def delete_object(request: S3Request) -> S3Response:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html (B065)"""
    parameters.check_version_id(request)
    headers.refuse_bypass(request)
    objects.delete_object(request.bucket, request.key, headers.conditions_of(request))
    return responses.empty(204)


def delete_objects(request: S3Request) -> S3Response:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html (B066 to B070)"""
    headers.refuse_bypass(request)
    if not _is_checked(request):
        raise InvalidRequest("Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
    document = parse(read_document(request, request.signing, _MAX_DOCUMENT), "Delete")
    quiet = (text_of(document, "Quiet") or "").strip().lower() == "true"
    wanted = [(text_of(item, "Key"), text_of(item, "VersionId")) for item in document.findall("Object")]
    if not 1 <= len(wanted) <= _MAX_KEYS or not all(key for key, _ in wanted):
        raise MalformedXML()
    refused = [_refusal(key or "", version) for key, version in wanted if version not in (None, "", "null")]
    keys = dict.fromkeys(key for key, version in wanted if key and version in (None, "", "null"))
    objects.delete_objects(request.bucket, list(keys))
    deleted: list[Node] = [] if quiet else [("Deleted", [("Key", key)]) for key in keys]
    return responses.xml("DeleteResult", deleted + refused)


def _is_checked(request: S3Request) -> bool:
    return (
        "content-md5" in request.headers
        or any(name.startswith("x-amz-checksum-") for name in request.headers)
        or bool(request.header("x-amz-trailer"))
    )


def _refusal(key: str, version_id: str | None) -> Node:
    error = InvalidArgument("Invalid version id specified")
    return ("Error", [("Key", key), ("VersionId", version_id), ("Code", error.code), ("Message", error.text)])
