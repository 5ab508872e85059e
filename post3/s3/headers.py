"""Headers of S3 requests, read into plain values; and those that would change a request's meaning and are not implemented."""

import re
from datetime import UTC, datetime
from email.errors import MessageError
from email.header import decode_header, make_header
from email.utils import parsedate_to_datetime
from urllib.parse import unquote_to_bytes

from ..errors import InvalidArgument, MetadataTooLarge, S3NotImplemented
from ..values import ByteRange, Conditions
from .request import S3Request

#: The system headers kept with an object, in the order of `models.rows.HEADER_COLUMNS`.
SYSTEM_HEADERS = ("content-type", "content-encoding", "content-disposition", "content-language", "cache-control", "expires")

#: Bytes of user metadata, names and values together.
#: https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html
MAX_METADATA_SIZE = 2048

#: x-amz-* headers that are read, or that mean nothing to a server like this one. Any other is refused: ignoring one that
#: changes meaning, such as a customer's encryption key, would be a silent lie.
KNOWN_HEADERS = frozenset(
    f"x-amz-{name}"
    for name in (
        "acl",
        "algorithm",
        "checksum-algorithm",
        "checksum-crc32",
        "checksum-crc32c",
        "checksum-crc64nvme",
        "checksum-mode",
        "checksum-sha1",
        "checksum-sha256",
        "checksum-type",
        "content-sha256",
        "copy-source",
        "copy-source-if-match",
        "copy-source-if-modified-since",
        "copy-source-if-none-match",
        "copy-source-if-unmodified-since",
        "copy-source-range",
        "copy-source-version-id",
        "date",
        "decoded-content-length",
        "expected-bucket-owner",
        "metadata-directive",
        "mp-object-size",
        "optional-object-attributes",
        "request-payer",
        "sdk-checksum-algorithm",
        "source-expected-bucket-owner",
        "storage-class",
        "tagging-directive",
        "te",
        "trailer",
        "user-agent",
    )
)

#: The one canned ACL that says what is so anyway, and the one that AWS accepts where ACLs are disabled.
KNOWN_ACLS = frozenset(("", "private", "bucket-owner-full-control"))


def refuse_unknown_headers(request: S3Request) -> None:
    """Raise NotImplemented for an `x-amz-*` header whose meaning is not implemented."""
    if "x-amz-bypass-governance-retention" in request.headers:  # B070; no bucket has Object Lock
        raise InvalidArgument("x-amz-bypass-governance-retention is only applicable to Object Lock enabled buckets.")
    for name in request.headers:
        if name.startswith("x-amz-") and name not in KNOWN_HEADERS and not name.startswith("x-amz-meta-"):
            raise S3NotImplemented(Header=name)
    if request.header("x-amz-acl") not in KNOWN_ACLS:
        raise S3NotImplemented(Header="x-amz-acl")
    if request.header("x-amz-tagging-directive") not in ("", "COPY"):
        raise S3NotImplemented(Header="x-amz-tagging-directive")


#: Parameters of the signature itself.
_SIGNATURE_PARAMETERS = frozenset(
    f"x-amz-{name}"
    for name in ("algorithm", "content-sha256", "credential", "date", "expires", "security-token", "signature", "signedheaders")
)


def adopt_parameters(request: S3Request) -> None:
    """Take the `x-amz-*` parameters of a presigned URL, which its signature covers, for headers (B101).

    Not checksums: the JavaScript SDK puts that of an empty body there, and S3 ignores it. A copy's source would have chosen
    another operation, which the URL's shape did not say. Raises NotImplemented.
    """
    for name, value in request.query.items():
        header = name.lower()
        if not header.startswith("x-amz-") or header in _SIGNATURE_PARAMETERS or header in request.headers:
            continue
        if header.startswith("x-amz-copy-source"):
            raise S3NotImplemented(Header=header)
        if not header.startswith(("x-amz-checksum-", "x-amz-sdk-")):
            request.headers[header] = value


def object_headers(request: S3Request) -> tuple[str, ...]:
    """Return the system headers to keep, "" where not sent. `aws-chunked` is framing, not an encoding of the object."""
    content_type, encoding, *others = (request.header(name) for name in SYSTEM_HEADERS)
    if "aws-chunked" in encoding:
        encoding = ",".join(part for token in encoding.split(",") if (part := token.strip()) and part != "aws-chunked")
    return (content_type, encoding, *others)


def user_metadata(request: S3Request) -> dict[str, str]:
    """Return `x-amz-meta-*` by name without that prefix. Raises MetadataTooLarge."""
    metadata = {name[11:]: _without_words(value) for name, value in request.headers.items() if name.startswith("x-amz-meta-")}
    size = sum(len(name.encode()) + len(value.encode()) for name, value in metadata.items())
    if size > MAX_METADATA_SIZE:
        raise MetadataTooLarge(Size=size, MaxSizeAllowed=MAX_METADATA_SIZE)
    if any("\x00" in value for value in metadata.values()):
        raise InvalidArgument("Metadata values must not hold a NUL character.")
    return metadata


def _without_words(value: str) -> str:
    """Decode RFC 2047 words, in which clients wrap what is not ASCII (B029); what cannot be in a header stays as it is."""
    if not (value.startswith("=?") and value.endswith("?=")):
        return value
    try:
        decoded = str(make_header(decode_header(value)))
    except (MessageError, LookupError, ValueError):
        return value
    return decoded if decoded.isprintable() else value


def conditions_of(request: S3Request, prefix: str = "if-") -> Conditions:
    """Read the `If-*` headers, or with prefix `x-amz-copy-source-if-` those for a copy's source."""
    headers = request.headers
    return Conditions(
        headers.get(f"{prefix}match"),
        headers.get(f"{prefix}none-match"),
        http_date(headers.get(f"{prefix}modified-since")),
        http_date(headers.get(f"{prefix}unmodified-since")),
    )


def http_date(value: str | None) -> datetime | None:
    """Read an HTTP date; one that cannot be read counts as not sent, as HTTP says."""
    if not value:
        return None
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, IndexError, OverflowError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


#: Beyond every object's end.
FAR = 1 << 62


def offset_of(digits: str) -> int:
    """Read an offset or a size. One of more digits than Python's int takes (4,300) is as far away as one of nineteen."""
    return min(int(digits), FAR) if len(digits) < 1000 else FAR


_RANGE = re.compile(r"bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*", re.ASCII)


def range_of(request: S3Request) -> ByteRange | None:
    """Read `Range`; one that is malformed, or names several ranges, is ignored, as S3 does (B050)."""
    text = request.header("range")
    found = _RANGE.fullmatch(text) if text else None
    if not found or not (found[1] or found[2]):
        return None
    first = offset_of(found[1]) if found[1] else None
    last = offset_of(found[2]) if found[2] else None
    if first is not None and last is not None and last < first:
        return None
    return ByteRange(first, last, text)


_COPY_RANGE = re.compile(r"bytes=(\d+)-(\d+)", re.ASCII)


def copy_range_of(request: S3Request) -> ByteRange | None:
    """Read `x-amz-copy-source-range`, which must be of the form bytes=first-last. Raises InvalidArgument."""
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


def copy_source_of(request: S3Request) -> tuple[str, str]:
    """Return bucket and key of `x-amz-copy-source`: `[/]bucket/key[?versionId=…]`, percent-encoded. Raises InvalidArgument."""
    text = request.header("x-amz-copy-source")
    path, _, query = text.partition("?")
    try:
        decoded = unquote_to_bytes(path.encode()).decode()
    except UnicodeError:
        decoded = ""
    bucket, _, key = decoded.removeprefix("/").partition("/")
    if not bucket or not key or "\x00" in decoded:
        raise InvalidArgument(
            "Invalid copy source object key",
            ArgumentName="x-amz-copy-source",
            ArgumentValue=text,
        )
    if query and query != "versionId=null":
        raise InvalidArgument("Invalid version id specified", ArgumentName="x-amz-copy-source", ArgumentValue=text)
    return bucket, key
