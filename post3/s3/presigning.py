"""Presigned URLs with Signature Version 4: the counterpart of `sigv4.py`, with the same canonical request.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
"""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import quote, urlsplit

from .signature import ALGORITHM, UNSIGNED_PAYLOAD
from .sigv4 import canonical_query, signing_key

_DEFAULT_PORTS = {"http": ":80", "https": ":443"}


def presign_get(
    origin: str,
    bucket: str,
    key: str,
    signer: tuple[str, str],
    region: str,
    expires: int,
    now: datetime,
    parameters: Mapping[str, str] | None = None,
) -> str:
    """Return a URL with which anyone can GET an object for `expires` seconds from `now`, an aware datetime.

    `origin`: the scheme, the host and the path where post3 is mounted, as clients write them: `https://example.com/s3`.
    `signer`: the access key and secret. `parameters`: more query parameters to sign, such as `response-content-type`.
    """
    parts = urlsplit(origin)
    host = parts.netloc.lower().removesuffix(_DEFAULT_PORTS.get(parts.scheme, ""))  # as clients send it
    path = f"{parts.path.rstrip('/')}/{quote(bucket)}/{quote(key, safe='/')}"
    access_key, secret = signer
    timestamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{timestamp[:8]}/{region}/s3/aws4_request"
    values = {
        **(parameters or {}),
        "X-Amz-Algorithm": ALGORITHM,
        "X-Amz-Credential": f"{access_key}/{scope}",
        "X-Amz-Date": timestamp,
        "X-Amz-Expires": str(expires),
        "X-Amz-SignedHeaders": "host",
    }
    query = canonical_query("&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in values.items()))
    canonical = f"GET\n{path}\n{query}\nhost:{host}\n\nhost\n{UNSIGNED_PAYLOAD}"
    to_sign = f"{ALGORITHM}\n{timestamp}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.digest(signing_key(secret, timestamp[:8], region, "s3"), to_sign.encode(), "sha256").hex()
    return f"{parts.scheme}://{host}{path}?{query}&X-Amz-Signature={signature}"
