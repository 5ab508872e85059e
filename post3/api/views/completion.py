"""Read the document and headers of CompleteMultipartUpload into plain values."""

from ... import checksums
from ...errors import InvalidRequest, MalformedXML
from ...s3 import checksum_headers, headers
from ...s3.payload import open_document
from ...s3.reading import Element, Items, parse
from ...s3.request import S3Request
from ...values import CompletedPart, Completion

_MAX_PARTS = 10_000
#: Enough for ten thousand parts with number, ETag and checksum.
_MAX_DOCUMENT = 8 << 20
_SIZE, _TYPE = "x-amz-mp-object-size", "x-amz-checksum-type"


def completion_of(request: S3Request) -> Completion:
    """Read a CompleteMultipartUpload request.

    Raises MalformedXML, also for an empty body (B087), and InvalidRequest for malformed headers.
    """
    size, checksum_type, object_checksums = _object_size(request), _checksum_type(request), _object_checksums(request)
    body = open_document(request, request.signing, _MAX_DOCUMENT, verify_checksum=False)
    parts: list[CompletedPart] = []
    root = parse(body, "CompleteMultipartUpload", Items("Part", _MAX_PARTS, lambda part: parts.append(completed_part(part))))
    if root is None:
        raise MalformedXML()
    return Completion(parts, object_checksums, size, checksum_type)


def completed_part(element: Element) -> CompletedPart:
    """Read a Part element. Raises MalformedXML if it has no number or no ETag (B087)."""
    number, etag = (element.text_of("PartNumber") or "").strip(), (element.text_of("ETag") or "").strip()
    if not etag or not (number.isascii() and number.isdigit()) or len(number) > 9:
        raise MalformedXML()
    names = [child.name for child in element.children if child.name.startswith("Checksum") and child.name != "ChecksumType"]
    sent = {name.removeprefix("Checksum"): (element.text_of(name) or "").strip() for name in names}
    return CompletedPart(int(number), etag.strip('"'), sent)


def _object_size(request: S3Request) -> int | None:
    """Return x-amz-mp-object-size, or None if it is missing. Raises InvalidRequest (B141)."""
    text = request.headers.get(_SIZE)
    if text is None:
        return None
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()):
        raise InvalidRequest(f"Value for {_SIZE} header is invalid: '{text}'")
    if text.startswith("-"):
        raise InvalidRequest(f"Value for {_SIZE} header is less than zero: '{text}'")
    return headers.offset_of(digits)


def _checksum_type(request: S3Request) -> str:
    asked = request.header(_TYPE).strip().upper()
    if asked not in ("", checksums.COMPOSITE, checksums.FULL_OBJECT):
        raise InvalidRequest(f"Value for {_TYPE} header is invalid.")
    return asked


def _object_checksums(request: S3Request) -> dict[str, str]:
    """Return the client's checksums of the whole object, by algorithm. Raises InvalidRequest (B060)."""
    sent = {}
    for algorithm in checksums.ALGORITHMS:
        name = checksum_headers.header_name(algorithm)
        if name in request.headers:
            value = request.headers[name].strip()
            if not checksums.is_valid(algorithm, value.partition("-")[0]):
                raise InvalidRequest(f"Value for {name} header is invalid.")
            sent[algorithm] = value
    return sent
