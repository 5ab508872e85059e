"""PutObject, GetObject, HeadObject, DeleteObject, DeleteObjects."""

from ...errors import InvalidRequest, MalformedXML, NoSuchVersion, S3Error, S3NotImplemented
from ...s3 import headers, parameters, responses
from ...s3.documents import Node
from ...s3.payload import open_document, open_payload
from ...s3.reading import Element, Items, parse
from ...s3.request import S3Request
from ...s3.responses import S3Response
from ...services import deletions, objects
from ...values import Deletion
from .describing import check_span, checksum_headers, description_of, object_headers, version_headers

_MAX_KEYS = 1000
#: Enough for a thousand keys of a thousand characters, each of which may be written as a character reference.
_MAX_DOCUMENT = 8 << 20
_TRUTHS = {"true": True, "1": True, "false": False, "0": False}


def put_object(request: S3Request) -> S3Response:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html (B024 to B035)"""
    put = objects.put_object(
        request.grant,
        request.key,
        description_of(request),
        open_payload(request, request.signing),
        headers.conditions_of(request),
    )
    found = checksum_headers(put.checksum_algorithm, put.checksum, "FULL_OBJECT")
    return responses.empty(200, {"ETag": f'"{put.etag}"', **found, **version_headers(put.published)})


def get_object(request: S3Request) -> S3Response:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html (B049 to B057)"""
    parameters.check_version_id(request)
    part_number = parameters.read_part_number(request)
    check_span(request, part_number)
    found = objects.open_object(
        request.grant, request.key, headers.conditions_of(request), headers.range_of(request), part_number
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
    row = objects.head_object(request.grant, request.key, headers.conditions_of(request))
    span = objects.span_of(row, headers.range_of(request), part_number)
    fields = object_headers(request, row, span)
    if part_number is not None and row.parts_count:
        fields["x-amz-mp-parts-count"] = str(row.parts_count)
    return responses.whole(b"", 206 if span.partial else 200, fields)


def delete_object(request: S3Request) -> S3Response:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObject.html (B065)"""
    parameters.check_version_id(request)
    headers.refuse_bypass(request)
    published = deletions.delete_object(request.grant, request.key, headers.conditions_of(request))
    marker = {"x-amz-delete-marker": "true"} if published.is_delete_marker else {}
    return responses.empty(204, {**version_headers(published), **marker})


def delete_objects(request: S3Request) -> S3Response:
    """https://docs.aws.amazon.com/AmazonS3/latest/API/API_DeleteObjects.html (B066 to B070, B145, B146)"""
    headers.refuse_bypass(request)
    if not _is_checked(request):
        raise InvalidRequest("Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
    wanted: list[Deletion] = []
    refused: list[Node] = []

    def take(item: Element) -> None:
        deletion, version_id = _deletion_of(item)
        refusal = _refusal_of(item, version_id)
        if refusal:
            refused.append(_error(deletion.key, version_id, refusal))
        else:
            wanted.append(deletion)

    document = parse(open_document(request, request.signing, _MAX_DOCUMENT), "Delete", Items("Object", _MAX_KEYS, take))
    quiet = ((document and document.text_of("Quiet")) or "false").strip().lower()
    if not (wanted or refused) or quiet not in _TRUTHS:
        raise MalformedXML()
    answers = deletions.delete_each(request.grant, wanted)
    deleted: list[Node] = [("Deleted", [("Key", key)]) for key, error in answers if error is None and not _TRUTHS[quiet]]
    failed = [_error(key, None, error) for key, error in answers if error is not None]
    return responses.xml("DeleteResult", deleted + refused + failed)


def _is_checked(request: S3Request) -> bool:
    return (
        "content-md5" in request.headers
        or any(name.startswith("x-amz-checksum-") for name in request.headers)
        or bool(request.header("x-amz-trailer"))
    )


def _deletion_of(item: Element) -> tuple[Deletion, str | None]:
    """Read an Object element: what to delete, and the version id. Raises MalformedXML if it has no key."""
    key, etag = item.text_of("Key"), item.text_of("ETag")
    if not key:
        raise MalformedXML()
    return Deletion(key, etag.strip() if etag else None), item.text_of("VersionId")


def _refusal_of(item: Element, version_id: str | None) -> S3Error | None:
    """Return the error for an Object element that asks for something unsupported, or None."""
    if version_id not in (None, "", "null"):
        return NoSuchVersion()
    if item.child("LastModifiedTime") or item.child("Size"):  # for directory buckets; DeleteObject refuses them too (B065)
        return S3NotImplemented("Conditions on LastModifiedTime and Size are not implemented.")
    return None


def _error(key: str, version_id: str | None, error: S3Error) -> Node:
    return ("Error", [("Key", key), ("VersionId", version_id), ("Code", error.code), ("Message", error.text)])
