"""Signature Version 4 for requests that are built long before they are sent.

See https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html. Unlike `tests/raw.py`, which signs a
request in any way a test wants, this signer builds a head in 12 µs.
"""

import hashlib
import hmac
from datetime import UTC, datetime
from urllib.parse import quote

ALGORITHM, REGION, SERVICE = "AWS4-HMAC-SHA256", "us-east-1", "s3"
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
EMPTY_HASH = hashlib.sha256(b"").hexdigest()


class Signer:
    """Builds request heads with a Signature Version 4 in the Authorization header."""

    def __init__(self, host: str, port: int, access_key: str, secret_key: str) -> None:
        self.host, self.access_key, self.secret_key = f"{host}:{port}", access_key, secret_key
        self._scope, self._key = "", b""

    def head(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None = None,
        payload_hash: str | None = None,
        length: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> bytes:
        """Return the head of a request. The path must not be percent-encoded. All given headers are signed.

        `payload_hash`: the body's SHA-256 in hex, or UNSIGNED_PAYLOAD; by default, the hash of an empty body. `length`:
        Content-Length.
        """
        timestamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
        payload_hash = payload_hash or EMPTY_HASH
        path = quote(path, safe="/-_.~")
        pairs = sorted((quote(name, safe="-_.~"), quote(str(value), safe="-_.~")) for name, value in (query or {}).items())
        arguments = "&".join(f"{name}={value}" for name, value in pairs)
        signed = {"host": self.host, "x-amz-content-sha256": payload_hash, "x-amz-date": timestamp}
        signed |= {name.lower(): value for name, value in (headers or {}).items()}
        names = ";".join(sorted(signed))
        lines = [method, path, arguments, *(f"{name}:{signed[name]}" for name in sorted(signed)), "", names, payload_hash]
        scope = f"{timestamp[:8]}/{REGION}/{SERVICE}/aws4_request"
        digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
        to_sign = "\n".join([ALGORITHM, timestamp, scope, digest]).encode()
        signature = hmac.digest(self._signing_key(scope), to_sign, "sha256").hex()
        wire = [f"{method} {path}{'?' if arguments else ''}{arguments} HTTP/1.1"]
        wire += [f"{name}: {value}" for name, value in signed.items()]
        wire.append(
            f"authorization: {ALGORITHM} Credential={self.access_key}/{scope},SignedHeaders={names},Signature={signature}"
        )
        if length is not None:
            wire.append(f"content-length: {length}")
        return "\r\n".join([*wire, "", ""]).encode()

    def _signing_key(self, scope: str) -> bytes:
        if scope != self._scope:
            key = f"AWS4{self.secret_key}".encode()
            for part in scope.split("/"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._scope, self._key = scope, key
        return self._key
