"""Parsing the headers of S3 requests into plain values."""

import re
from datetime import UTC, datetime
from email.errors import MessageError
from email.header import decode_header, make_header
from email.utils import parsedate_to_datetime
from urllib.parse import quote, unquote_to_bytes

from ..errors import InvalidArgument, MetadataTooLarge, S3NotImplemented
from ..values import ByteRange, Conditions
from ..web.header_fields import is_name, is_value
from .request import S3Request

NO_HEADER = "Header names must be tokens, and header values must not contain control characters."

#: Maximum bytes of user metadata, including names and values.
#: https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
MAX_METADATA_SIZE = 2048


def refuse_bypass(request: S3Request) -> None:
    """Raise InvalidArgument for a deletion that bypasses governance, because no bucket has Object Lock (B070)."""
    if "x-amz-bypass-governance-retention" in request.headers:
        raise InvalidArgument("x-amz-bypass-governance-retention is only applicable to Object Lock enabled buckets.")


#: Query parameters that belong to the signature itself.
_SIGNATURE_PARAMETERS = frozenset(
    f"x-amz-{name}"
    for name in ("algorithm", "content-sha256", "credential", "date", "expires", "security-token", "signature", "signedheaders")
)


#: Conditional headers, which some SDKs also put into the query (B131).
_CONDITIONS = frozenset(("if-match", "if-none-match", "if-modified-since", "if-unmodified-since"))


def is_adopted(name: str) -> bool:
    """Whether a query parameter of a presigned URL belongs to the signature, or is treated as a header."""
    header = name.lower()
    return header.startswith("x-amz-") or header in _CONDITIONS


def adopt_parameters(request: S3Request, signed_headers: tuple[str, ...]) -> None:
    """Treat the `x-amz-*` parameters and conditions of a presigned URL, which are signed, as headers (B101, B131).

    Checksums are excluded: the JavaScript SDK puts the checksum of an empty body there, and S3 ignores it. A copy
    source is refused, because it would have selected another operation. An unsigned header cannot replace a condition
    in the URL. Raises NotImplemented, and InvalidArgument for a parameter that cannot be a header.
    """
    for name, value in request.query.items():
        header = name.lower()
        if header in _CONDITIONS:
            if header in signed_headers:
                continue
        elif not header.startswith("x-amz-") or header in _SIGNATURE_PARAMETERS or header in request.headers:
            continue
        if not (is_name(header) and is_value(value)):
            raise InvalidArgument(NO_HEADER, ArgumentName=quote(name, safe=""))
        if header.startswith("x-amz-copy-source"):
            raise S3NotImplemented(Header=header)
        if not header.startswith(("x-amz-checksum-", "x-amz-sdk-")):
            request.headers[header] = value


def content_encoding_of(request: S3Request) -> str:
    """Return the Content-Encoding to store. `aws-chunked` is framing, not an encoding of the object.

    Codings are case-insensitive (RFC 9110, 8.4.1). Raises InvalidArgument for control characters.
    """
    encoding = value_of(request, "content-encoding")
    if "aws-chunked" in encoding.lower():
        codings = (coding.strip() for coding in encoding.split(","))
        encoding = ",".join(coding for coding in codings if coding and coding.lower() != "aws-chunked")  # B103
    return encoding


def value_of(request: S3Request, name: str) -> str:
    """Return a header to store. Raises InvalidArgument for control characters, which some servers let through."""
    value = request.header(name)
    if value and not is_value(value):
        raise InvalidArgument(NO_HEADER, ArgumentName=name)
    return value


def user_metadata(request: S3Request) -> dict[str, str]:
    """Return `x-amz-meta-*` by unprefixed name. Raises MetadataTooLarge, InvalidArgument for control characters."""
    sent = [name for name in request.headers if name.startswith("x-amz-meta-")]
    metadata = {name[11:]: _without_words(value_of(request, name)) for name in sent}
    size = sum(len(name.encode()) + len(value.encode()) for name, value in metadata.items())
    if size > MAX_METADATA_SIZE:
        raise MetadataTooLarge(Size=size, MaxSizeAllowed=MAX_METADATA_SIZE)
    return metadata


def _without_words(value: str) -> str:
    """Decode the RFC 2047 words that clients send for non-ASCII values (B029). Keep a value that cannot be decoded."""
    if not (value.startswith("=?") and value.endswith("?=")):
        return value
    try:
        decoded = str(make_header(decode_header(value)))
    except (MessageError, LookupError, ValueError):
        return value
    return decoded if decoded.isprintable() else value


def conditions_of(request: S3Request, prefix: str = "if-") -> Conditions:
    """Return the `If-*` headers, or, with the prefix `x-amz-copy-source-if-`, the conditions on a copy's source."""
    headers = request.headers
    return Conditions(
        headers.get(f"{prefix}match"),
        headers.get(f"{prefix}none-match"),
        http_date(headers.get(f"{prefix}modified-since")),
        http_date(headers.get(f"{prefix}unmodified-since")),
    )


def http_date(value: str | None) -> datetime | None:
    """Parse an HTTP date. Return None for an invalid one, which HTTP requires to be ignored."""
    if not value:
        return None
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


#: An offset beyond the end of every object.
FAR = 1 << 62


def offset_of(digits: str) -> int:
    """Parse an offset or a size, capped at FAR. Long text is not parsed: Python's int accepts at most 4,300 digits."""
    return min(int(digits), FAR) if len(digits) < 1000 else FAR


_RANGE = re.compile(r"bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*", re.ASCII | re.IGNORECASE)


def range_of(request: S3Request) -> ByteRange | None:
    """Parse `Range` and `If-Range`. Malformed ranges and multiple ranges are ignored, as in S3 (B050)."""
    text = request.header("range")
    found = _RANGE.fullmatch(text) if text else None
    if not found or not (found[1] or found[2]):
        return None
    first = offset_of(found[1]) if found[1] else None
    last = offset_of(found[2]) if found[2] else None
    if first is not None and last is not None and last < first:
        return None
    return ByteRange(first, last, text, _validator(request.headers.get("if-range")))


def _validator(value: str | None) -> str | datetime | None:
    """Parse `If-Range`: a strong ETag in its quotes, or a date. Anything else becomes "", which matches no version."""
    if value is None or value.startswith('"'):
        return value
    return http_date(value) or ""


_COPY_RANGE = re.compile(r"bytes=(\d+)-(\d+)", re.ASCII)


def copy_range_of(request: S3Request) -> ByteRange | None:
    """Parse `x-amz-copy-source-range`, which must have the form bytes=first-last. Raises InvalidArgument."""
    text = request.header("x-amz-copy-source-range")
    if not text:
        return None
    found = _COPY_RANGE.fullmatch(text)
    if not found or offset_of(found[2]) < offset_of(found[1]):
        raise InvalidArgument(
            "The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the "
            "zero-based offsets of the first and last bytes to copy",
            ArgumentName="x-amz-copy-source-range",
            ArgumentValue=text,
        )
    return ByteRange(offset_of(found[1]), offset_of(found[2]), text)


#: Bucket names, including those from before the current naming rules. ARNs and URLs contain a colon and do not match.
_SOURCE_BUCKET = re.compile(r"[A-Za-z0-9._-]{3,255}", re.ASCII)


def copy_source_of(request: S3Request) -> tuple[str, str]:
    """Return the bucket and key in `x-amz-copy-source`, which is parsed once per request. Raises InvalidArgument."""
    if request.copy_source is None:
        request.copy_source = _parse_source(request.header("x-amz-copy-source"))
    return request.copy_source


def _parse_source(text: str) -> tuple[str, str]:
    """Parse `[/]bucket/key[?versionId=…]`. Raises InvalidArgument.

    The text is form-encoded: unlike in a path, `+` stands for a space (B150).
    """
    path, _, query = text.partition("?")
    decoded = _form_decoded(path)
    bucket, _, key = decoded.removeprefix("/").partition("/")
    if not bucket or not key or "\x00" in decoded:
        raise _wrong_source("Invalid copy source object key", text)
    if not _SOURCE_BUCKET.fullmatch(bucket):
        raise _wrong_source("Invalid copy source bucket name", text)  # B151
    if query and _form_decoded(query.removesuffix("&")) != "versionId=null":
        raise _wrong_source("Invalid version id specified", text)
    return bucket, key


def _form_decoded(text: str) -> str:
    """Decode form-encoded text once. Return "" if it is not UTF-8."""
    try:
        return unquote_to_bytes(text.replace("+", " ").encode()).decode()
    except UnicodeError:
        return ""


def _wrong_source(message: str, value: str) -> InvalidArgument:
    return InvalidArgument(message, ArgumentName="x-amz-copy-source", ArgumentValue=value)
