"""Parsing a request's signature from the Authorization header or the query, without verifying it.

Malformed signatures raise the same errors as AWS, with AWS's messages if known.
Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-auth-using-authorization-header.html,
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import NoReturn

from ..errors import (
    AccessDenied,
    AuthorizationHeaderMalformed,
    AuthorizationQueryParametersError,
    InvalidArgument,
    InvalidRequest,
    InvalidToken,
    S3Error,
    UnsupportedSignature,
)
from .request import S3Request

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
#: Maximum validity of a presigned URL in seconds: one week.
MAX_EXPIRES = 604_800

_QUERY_PARAMETERS = (
    "X-Amz-Algorithm",
    "X-Amz-Credential",
    "X-Amz-Signature",
    "X-Amz-Date",
    "X-Amz-SignedHeaders",
    "X-Amz-Expires",
)
_TIMESTAMP = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_DATE = re.compile(r"[0-9]{8}")
_REGION = re.compile(r"[A-Za-z0-9_-]{1,64}")
_EXPECTED_CREDENTIAL = 'the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".'
_HEADER_PREFIX = "The authorization header is malformed; "


@dataclass(frozen=True, slots=True)
class Signature:
    """The signature that a request claims to have. None of it is verified yet."""

    access_key: str
    date: str  # YYYYMMDD, of the credential scope
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str  # 64 hex digits if it can match at all
    timestamp: str  # YYYYMMDDTHHMMSSZ
    expires: int | None  # seconds; set means presigned
    payload_hash: str  # the last line of the canonical request

    @property
    def scope(self) -> str:
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


def is_signed(request: S3Request) -> bool:
    """Whether the request has any authentication, of any kind, valid or not."""
    return "authorization" in request.headers or _is_presigned(request) or _is_presigned_v2(request)


def payload_hash_of(request: S3Request) -> str:
    """Return the request's x-amz-content-sha256. The presigners of the JavaScript and Go SDKs put it into the query.

    The query is signed, but a header of this name may be unsigned (B095), so the query takes precedence.
    """
    in_header, in_query = request.header("x-amz-content-sha256"), request.query.get("X-Amz-Content-Sha256")
    if in_query and _is_presigned(request):
        return in_query
    return in_header or UNSIGNED_PAYLOAD


def parse_signature(request: S3Request) -> Signature:
    """Parse the request's signature from its Authorization header or its query.

    Raises AccessDenied if there is none, UnsupportedSignature for Signature Version 2, InvalidToken for session tokens,
    InvalidArgument, InvalidRequest, AuthorizationHeaderMalformed or AuthorizationQueryParametersError if malformed.
    """
    authorization = request.headers.get("authorization")
    presigned = _is_presigned(request)
    if authorization is not None and (presigned or _is_presigned_v2(request)):
        raise InvalidArgument(
            "Only one auth mechanism allowed; only the X-Amz-Algorithm query parameter, Signature query string parameter or "
            "the Authorization header should be specified",
            ArgumentName="Authorization",
            ArgumentValue=authorization,
        )
    if request.header("x-amz-security-token") or request.query.get("X-Amz-Security-Token"):
        raise InvalidToken()
    if authorization is not None:
        return _parse_header(request, authorization)
    if presigned:
        return _parse_query(request)
    if _is_presigned_v2(request):
        raise UnsupportedSignature()
    raise AccessDenied()


def _is_presigned(request: S3Request) -> bool:
    return "X-Amz-Algorithm" in request.query or "X-Amz-Signature" in request.query or "X-Amz-Credential" in request.query


def _is_presigned_v2(request: S3Request) -> bool:
    return "AWSAccessKeyId" in request.query or "Signature" in request.query


def _parse_header(request: S3Request, authorization: str) -> Signature:
    scheme, _, rest = authorization.strip().partition(" ")
    if scheme == "AWS" or scheme.startswith("AWS4-ECDSA"):
        raise UnsupportedSignature()
    if scheme != ALGORITHM:
        raise InvalidArgument("Unsupported Authorization Type", ArgumentName="Authorization", ArgumentValue=authorization)
    parts: dict[str, str] = {}
    for part in rest.split(","):
        name, found, value = part.strip().partition("=")
        if not found or name in parts:
            _malformed(f'the authorization component "{part.strip()}" is malformed.')
        parts[name] = value
    for name in ("Credential", "SignedHeaders", "Signature"):
        if not parts.get(name):
            _malformed(f"missing {name}.")
    access_key, date, region, service = _parse_credential(parts["Credential"], AuthorizationHeaderMalformed, _HEADER_PREFIX)
    timestamp = _header_timestamp(request)
    if date != timestamp[:8]:
        _malformed(f'Invalid credential date "{date}". This date is not the same as X-Amz-Date: "{timestamp[:8]}".')
    signed_headers = tuple(parts["SignedHeaders"].split(";"))
    if "host" not in signed_headers:
        raise AccessDenied("There were headers present in the request which were not signed", HeadersNotSigned="host")
    payload_hash = request.header("x-amz-content-sha256")
    if not payload_hash:
        raise InvalidRequest("Missing required header for this request: x-amz-content-sha256")
    return Signature(access_key, date, region, service, signed_headers, parts["Signature"], timestamp, None, payload_hash)


def _malformed(text: str) -> NoReturn:
    raise AuthorizationHeaderMalformed(_HEADER_PREFIX + text)


def _parse_query(request: S3Request) -> Signature:
    query = request.query
    if query.get("X-Amz-Algorithm", ALGORITHM) != ALGORITHM:
        raise AuthorizationQueryParametersError('X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"')
    if not all(query.get(name) for name in _QUERY_PARAMETERS):
        raise AuthorizationQueryParametersError(
            "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, "
            "X-Amz-SignedHeaders, and X-Amz-Expires parameters."
        )
    prefix = "Error parsing the X-Amz-Credential parameter; "
    access_key, date, region, service = _parse_credential(query["X-Amz-Credential"], AuthorizationQueryParametersError, prefix)
    timestamp = query["X-Amz-Date"]
    if parse_timestamp(timestamp) is None:
        raise AuthorizationQueryParametersError("X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\"")
    if date != timestamp[:8]:
        raise AuthorizationQueryParametersError(
            f'Invalid credential date "{date}". This date is not the same as X-Amz-Date: "{timestamp[:8]}".'
        )
    signed_headers = tuple(query["X-Amz-SignedHeaders"].split(";"))
    if "host" not in signed_headers:
        raise AccessDenied("There were headers present in the request which were not signed", HeadersNotSigned="host")
    expires = _parse_expires(query["X-Amz-Expires"])
    payload_hash = query.get("X-Amz-Content-Sha256") or UNSIGNED_PAYLOAD
    if "x-amz-content-sha256" in signed_headers:
        payload_hash = payload_hash_of(request)
    signature = query["X-Amz-Signature"]
    return Signature(access_key, date, region, service, signed_headers, signature, timestamp, expires, payload_hash)


def _parse_expires(text: str) -> int:
    if not re.fullmatch(r"-?[0-9]{1,18}", text):
        raise AuthorizationQueryParametersError("X-Amz-Expires should be a number")
    expires = int(text)
    if expires < 0:
        raise AuthorizationQueryParametersError("X-Amz-Expires must be non-negative")
    if expires > MAX_EXPIRES:
        raise AuthorizationQueryParametersError(
            "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than "
            f"{MAX_EXPIRES} seconds"
        )
    return expires


def _parse_credential(credential: str, error: type[S3Error], prefix: str) -> tuple[str, str, str, str]:
    """Return (access key, date, region, service). Raises `error` with `prefix` before its message."""
    parts = credential.rsplit("/", 4)
    if len(parts) != 5:
        raise error(prefix + _EXPECTED_CREDENTIAL)
    access_key, date, region, service, terminal = parts
    if not access_key:
        raise error(prefix + "a non-empty Access Key (AKID) must be provided in the credential.")
    if not _DATE.fullmatch(date):
        raise error(f'{prefix}incorrect date format "{date}". This date in the credential must be in the format "yyyyMMdd".')
    if not _REGION.fullmatch(region):
        raise error(f'{prefix}incorrect region "{region}".')
    if service != "s3":
        raise error(f'{prefix}incorrect service "{service}". This endpoint belongs to "s3".')
    if terminal != "aws4_request":
        raise error(f'{prefix}incorrect terminal "{terminal}". This endpoint uses "aws4_request".')
    return access_key, date, region, service


def _header_timestamp(request: S3Request) -> str:
    """Return a header-signed request's time as YYYYMMDDTHHMMSSZ, from x-amz-date or Date, which may be an HTTP date."""
    text = request.header("x-amz-date") or request.header("date")
    if parse_timestamp(text) is not None:
        return text
    if not request.header("x-amz-date"):
        try:
            moment = parsedate_to_datetime(text)
            # "-0000" gives a naive datetime, which astimezone would treat as local time.
            moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
            return moment.strftime("%Y%m%dT%H%M%SZ")
        except (ValueError, TypeError, OverflowError):
            pass
    raise AccessDenied("AWS authentication requires a valid Date or x-amz-date header")


@lru_cache(maxsize=256)
def parse_timestamp(text: str) -> datetime | None:
    """Parse YYYYMMDDTHHMMSSZ. Return None if it is invalid. Cached: requests in the same second share the timestamp."""
    if not _TIMESTAMP.fullmatch(text):
        return None
    try:
        return datetime(
            int(text[:4]), int(text[4:6]), int(text[6:8]), int(text[9:11]), int(text[11:13]), int(text[13:15]), tzinfo=UTC
        )
    except ValueError:
        return None
