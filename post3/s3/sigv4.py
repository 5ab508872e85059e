"""AWS Signature Version 4: verifying who signed a request, and that the request is unchanged.

There are two steps, so that the key can be looked up in between: `parse_signature` (in `signature.py`) reads the
claimed signature, and `verify_signature` computes the signature and compares the two. Both are pure functions.

The request is verified in the form in which it is interpreted. The canonical request is computed from the *decoded*
path and query, encoded once by S3's rules: unreserved characters stay, in the path also the slash, and nothing is
normalized. Clients differ in what they percent-encode, and the path as sent does not show what they signed. A plus sign
in the query is a space, as in `request.parse_query`.

Every region is accepted. The key is derived from the region in the scope, so the signature still covers it, and a
client with a wrong region setting does no harm. The service must be `s3`. Session tokens are not supported.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html,
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from ..conf import conf
from ..errors import AccessDenied, RequestTimeTooSkewed, SignatureDoesNotMatch
from .request import S3Request, split_query
from .signature import ALGORITHM, Signature, is_signed, parse_signature, parse_timestamp

__all__ = ["Signature", "SigningContext", "is_signed", "parse_signature", "verify_signature"]


@dataclass(frozen=True, slots=True)
class SigningContext:
    """The values from which the signatures of aws-chunked chunks continue."""

    seed_signature: str
    signing_key: bytes
    scope: str
    timestamp: str


def verify_signature(request: S3Request, signature: Signature, secret: str, now: datetime) -> SigningContext:
    """Compute the request's signature with `secret` and compare it with `signature`. `now` is an aware datetime.

    Raises AccessDenied for unsigned x-amz-* headers and for presigned requests that are expired or not yet valid,
    RequestTimeTooSkewed, SignatureDoesNotMatch.
    """
    _refuse_unsigned_headers(request, signature)
    _check_time(signature, now)
    key = signing_key(secret, signature.date, signature.region, signature.service)
    provided = signature.signature.encode()
    complete = all(name in request.headers for name in signature.signed_headers)
    for encoding in ("utf-8", "latin-1"):
        # Header values are available as text. A client signs either a value's UTF-8 (botocore, whatever it then sends)
        # or the Latin-1 bytes that it sends. Both encode the same text.
        try:
            canonical = canonical_request(request, signature, encoding)
        except UnicodeEncodeError:  # never "replace": a signed "?" would then match any other character
            break
        to_sign = f"{ALGORITHM}\n{signature.timestamp}\n{signature.scope}\n{hashlib.sha256(canonical).hexdigest()}"
        computed = hmac.digest(key, to_sign.encode(), "sha256").hex()
        if hmac.compare_digest(computed.encode(), provided) and complete:
            return SigningContext(computed, key, signature.scope, signature.timestamp)
        if canonical.isascii():
            break
    raise SignatureDoesNotMatch(
        AWSAccessKeyId=signature.access_key,
        StringToSign=to_sign,
        SignatureProvided=signature.signature,
        StringToSignBytes=to_sign.encode().hex(" "),
        CanonicalRequest=canonical.decode("utf-8", "replace"),
        CanonicalRequestBytes=canonical.hex(" "),
    )


@lru_cache(maxsize=256)
def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """Derive a scope's signing key, 32 bytes. Cached: the four HMACs are the same for a key's requests on one day."""
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def canonical_request(request: S3Request, signature: Signature, encoding: str = "utf-8") -> bytes:
    """Return the canonical request, with header values in `encoding`. Raises UnicodeEncodeError."""
    headers = []
    for name in signature.signed_headers:
        value = request.header(name).encode(encoding)
        headers.append(name.encode() + b":" + b" ".join(value.split()) + b"\n")
    return b"\n".join(
        (
            request.method.encode(),
            canonical_path(request.raw_path).encode(),
            canonical_query(request.raw_query).encode(),
            b"".join(headers),
            ";".join(signature.signed_headers).encode(),
            signature.payload_hash.encode(),
        )
    )


def canonical_path(raw_path: str) -> str:
    """Decode the path and encode it once. Slashes, repeated slashes and dots stay."""
    return quote(unquote_to_bytes(raw_path.encode("latin-1")), safe="/")


def canonical_query(raw_query: str) -> str:
    """Return the query encoded and sorted, without the signature itself."""
    if not raw_query:
        return ""
    pairs = sorted((_canonical_component(name), _canonical_component(value)) for name, value in split_query(raw_query))
    return "&".join(f"{name}={value}" for name, value in pairs if name != "X-Amz-Signature")


def _canonical_component(text: str) -> str:
    return quote(unquote_to_bytes(text.replace("+", " ").encode("latin-1")), safe="")


def _refuse_unsigned_headers(request: S3Request, signature: Signature) -> None:
    """Raise AccessDenied if there are x-amz-* headers that the signature does not cover.

    Otherwise, the holder of a presigned PUT could add x-amz-copy-source to read any of the signer's objects, or
    x-amz-acl to publish the upload (CVE-2026-97731 and others). `x-amz-content-sha256` may be missing from the signed
    headers (B095), because its value is the last line of the canonical request.
    """
    unsigned = [
        name
        for name in request.headers
        if name.startswith("x-amz-") and name not in signature.signed_headers and name != "x-amz-content-sha256"
    ]
    if unsigned:
        raise AccessDenied(
            "There were headers present in the request which were not signed", HeadersNotSigned=", ".join(sorted(unsigned))
        )


def _check_time(signature: Signature, now: datetime) -> None:
    signed_at = parse_timestamp(signature.timestamp)
    if signed_at is None:
        raise AccessDenied("AWS authentication requires a valid Date or x-amz-date header")
    skew = timedelta(seconds=conf.MAX_CLOCK_SKEW)
    if signature.expires is None:
        if abs(now - signed_at) > skew:
            raise RequestTimeTooSkewed(
                RequestTime=signature.timestamp,
                ServerTime=_iso(now),
                MaxAllowedSkewMilliseconds=int(skew.total_seconds() * 1000),
            )
        return
    if signed_at > now + skew:
        raise AccessDenied("Request is not yet valid", ServerTime=_iso(now))  # B099
    expires_in = timedelta(seconds=signature.expires)
    if now - signed_at > expires_in:  # a subtraction, because an addition could overflow in the year 9999
        fields: dict[str, Any] = {
            "X-Amz-Expires": signature.expires,
            "Expires": _iso(signed_at + expires_in),
            "ServerTime": _iso(now),
        }
        raise AccessDenied("Request has expired", **fields)


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
