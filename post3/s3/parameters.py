"""Parsing the query parameters of S3 requests into plain values."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from urllib.parse import quote

from ..errors import InvalidArgument
from .request import S3Request

MAX_INT = 2**31 - 1


def page_size(request: S3Request, name: str, spoken: str, default: int = 1000) -> int:
    """Parse `max-keys` and the like: 0 to 2**31-1, capped at `default`. `spoken`: the name in AWS's message (B043)."""
    text = request.query.get(name, "")
    return min(_integer(text, name, spoken), default) if text else default


def marker_number(request: S3Request, name: str) -> int:
    """Parse `part-number-marker`. Return 0 if it is missing (B090)."""
    text = request.query.get(name, "")
    return _integer(text, name, name) if text else 0


def _integer(text: str, name: str, spoken: str) -> int:
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 10 or int(digits) > MAX_INT:
        raise InvalidArgument(f"Provided {name} not an integer or within integer range", ArgumentName=name, ArgumentValue=text)
    if text.startswith("-"):
        raise InvalidArgument(
            f"Argument {spoken} must be an integer between 0 and {MAX_INT}", ArgumentName=spoken, ArgumentValue=text
        )
    return int(text)


def part_number_of(request: S3Request) -> int:
    """Parse the `partNumber` of an upload: 1 to 10,000 (B082)."""
    text = request.query["partNumber"]
    if not (text.isascii() and text.isdigit()) or len(text) > 5 or not 1 <= int(text) <= 10000:
        raise InvalidArgument(
            "Part number must be an integer between 1 and 10000, inclusive", ArgumentName="partNumber", ArgumentValue=text
        )
    return int(text)


def read_part_number(request: S3Request) -> int | None:
    """Parse the `partNumber` of a GET or HEAD. Return None if it is missing. Raises InvalidArgument."""
    return part_number_of(request) if "partNumber" in request.query else None


def check_version_id(request: S3Request) -> None:
    """Accept "null", the only version of unversioned keys. Raises InvalidArgument (B057)."""
    version_id = request.query.get("versionId")
    if version_id is not None and version_id != "null":
        raise InvalidArgument("Invalid version id specified", ArgumentName="versionId", ArgumentValue=version_id)


def url_encoding(request: S3Request) -> bool:
    """Return whether names must be percent-encoded in the response. Raises InvalidArgument (B045)."""
    encoding = request.query.get("encoding-type")
    if encoding is None:
        return False
    if encoding != "url":
        raise InvalidArgument(
            "Invalid Encoding Method specified in Request", ArgumentName="encoding-type", ArgumentValue=encoding
        )
    return True


def encode_name(name: str) -> str:
    """Percent-encode a name for `encoding-type=url`. A space becomes %20, which every client decodes (B044)."""
    return quote(name, safe="/-_.~*")


def make_token(after: str) -> str:
    """Return a continuation token for a listing that resumes after a name."""
    return urlsafe_b64encode(b"1" + after.encode()).decode()


def read_token(request: S3Request) -> str:
    """Return the name in the continuation token. Raises InvalidArgument (B041)."""
    try:
        decoded = urlsafe_b64decode(request.query["continuation-token"].encode()).decode()
    except (binascii.Error, ValueError):
        decoded = ""
    if not decoded.startswith("1") or "\x00" in decoded:
        raise InvalidArgument("The continuation token provided is incorrect", ArgumentName="continuation-token")
    return decoded[1:]
