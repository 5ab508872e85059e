"""Helpers of the object operations: the response headers of an object, and the description of an object to store."""

from operator import attrgetter
from typing import Any

from ...catalogue.attributes import HEADERS
from ...catalogue.rows import ObjectRow, Published
from ...errors import InvalidArgument, InvalidRequest
from ...s3 import headers, responses
from ...s3.request import S3Request
from ...services.objects import Span
from ...values import Description
from ...web.origins import objects_need_sandbox

_kept = attrgetter(*HEADERS)
#: Header -> the query parameter that replaces its value in a response (B056).
_OVERRIDES = {header: f"response-{header.lower()}" for header in HEADERS.values()}

DEFAULT_CONTENT_TYPE = "binary/octet-stream"


def description_of(request: S3Request) -> Description:
    """Read the description of an object to store from the request's headers."""
    given: dict[str, Any] = {name: headers.value_of(request, header.lower()) for name, header in HEADERS.items()}
    given["content_type"] = given["content_type"] or DEFAULT_CONTENT_TYPE
    given["content_encoding"] = headers.content_encoding_of(request)
    given["metadata"] = headers.user_metadata(request)
    return Description(request.header("x-amz-storage-class") or "STANDARD", given)


def object_headers(request: S3Request, row: ObjectRow, span: Span) -> dict[str, str]:
    """Return the headers of GET and HEAD for that span of an object."""
    found = {
        "Last-Modified": responses.http_time(row.last_modified),
        "ETag": f'"{row.etag}"',
        "Accept-Ranges": "bytes",
        "Content-Length": str(span.length),
    }
    if span.partial and span.length:  # a part may be empty, and then has no range
        found["Content-Range"] = f"bytes {span.start}-{span.start + span.length - 1}/{row.size}"
    if row.storage_class != "STANDARD":
        found["x-amz-storage-class"] = row.storage_class
    if span.checksum and request.header("x-amz-checksum-mode").upper() == "ENABLED":
        found |= checksum_headers(row.checksum_algorithm, span.checksum, row.checksum_type)
    for name, kept in zip(HEADERS.values(), _kept(row), strict=True):
        if kept:
            found[name] = kept
    if request.query:
        found |= _replaced(request.query)
    for name, value in row.metadata.items():
        found[f"x-amz-meta-{name}"] = value
    # Last, so that neither stored headers nor the query can replace them.
    found["X-Content-Type-Options"] = "nosniff"
    if objects_need_sandbox():
        found["Content-Security-Policy"] = "sandbox"
    return found


def _replaced(query: dict[str, str]) -> dict[str, str]:
    """Return the headers that the query overrides. Raises InvalidArgument."""
    found = {}
    for name, override in _OVERRIDES.items():
        value = query.get(override)
        if value is not None and not _is_header_value(value):
            raise InvalidArgument("Header value cannot be represented using ISO-8859-1.", ArgumentName=override)
        if value:
            found[name] = value
    return found


def _is_header_value(value: str) -> bool:
    return all((" " <= character <= "\xff" and character != "\x7f") or character == "\t" for character in value)


def checksum_headers(algorithm: str, checksum: str, checksum_type: str) -> dict[str, str]:
    """Return the headers for a checksum; none if it is empty."""
    if not checksum:
        return {}
    return {f"x-amz-checksum-{algorithm.lower()}": checksum, "x-amz-checksum-type": checksum_type}


def version_headers(published: Published) -> dict[str, str]:
    """Return the header with the version that a write created; none if the bucket never had versioning."""
    ref = published.ref
    return {"x-amz-version-id": ref.version_id} if ref.bucket.versioning else {}


def check_span(request: S3Request, part_number: int | None) -> None:
    """Raise InvalidRequest if a read asks for both a range and a part (B052)."""
    if part_number is not None and request.header("range"):
        raise InvalidRequest("Cannot specify both Range header and partNumber query parameter")
