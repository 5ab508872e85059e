"""An S3 request as received: raw path, raw query, headers by name, body as a stream.

Signatures cover the path and query *as sent*, but Django and WSGI provide decoded ones. So this module uses the
server's raw values: `raw_path` and `query_string` in the ASGI scope, `RAW_URI` (gunicorn) or `REQUEST_URI` in WSGI.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

from django.conf import settings
from django.http import HttpRequest

from ..errors import InvalidURI
from .body import Body

#: A request target in absolute form, up to its path.
ABSOLUTE_FORM = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)")


@dataclass(slots=True)
class S3Request:
    method: str
    #: The path as sent, percent-encoded, with the leading slash and the prefix under which post3 is mounted.
    raw_path: str
    #: The query as sent, without the question mark.
    raw_query: str
    #: Header values by lower-case name, decoded as UTF-8, or else Latin-1. Repeated headers are joined by a comma.
    headers: dict[str, str]
    #: Query values by name, percent-decoded. The first of repeated parameters counts. "" if there is no value.
    query: dict[str, str]
    #: The bucket and key, percent-decoded but never normalized. Empty if the path has none.
    bucket: str
    key: str
    #: The body as received, including any aws-chunked framing.
    body: Body
    secure: bool = False
    #: Hosts that the client addressed other than by Host: as given by a trusted proxy (`web/proxies.py`), and in a
    #: target in absolute form (RFC 9112, 3.2.2). "" if missing.
    forwarded_host: str = ""
    target_host: str = ""
    #: Bucket and key of a copy's source, once `headers.copy_source_of` has parsed them.
    copy_source: tuple[str, str] | None = None
    #: Set by dispatch: the caller (`access.callers.Caller`), and what verifying a signed body needs
    #: (`sigv4.SigningContext`).
    caller: Any = None
    signing: Any = None
    #: Set by dispatch: what the caller was granted on the bucket and on the source of a copy
    #: (`access.permissions.Grant`).
    grant: Any = None
    source: Any = None

    def header(self, name: str, default: str = "") -> str:
        """Return the value of a header by its lower-case name."""
        return self.headers.get(name, default)


def request_of_django(request: HttpRequest, body: Body, mount: str) -> S3Request:
    """Read a Django request. `body` comes from `body_of`. `mount` is post3's path prefix without a trailing slash.

    Raises InvalidURI if the path or query is not percent-encoded UTF-8, contains a NUL, or does not begin with `mount`.
    """
    scope = getattr(request, "scope", None)
    if scope is not None:  # Django's own ASGI handler
        return request_of_scope(scope, body, mount)
    environ = request.META
    target_host, raw_path, raw_query = _target_of_environ(environ)
    headers = _headers_of_environ(environ)
    made = _request(request.method or "GET", raw_path, raw_query, headers, body, mount, request.is_secure())
    made.target_host = target_host
    if "post3.host_as_sent" in environ:
        made.forwarded_host = environ.get("HTTP_HOST", "")
    return made


def request_of_scope(scope: dict[str, Any], body: Body, mount: str) -> S3Request:
    """Read an ASGI scope, with the same errors as `request_of_django`."""
    raw_path, raw_query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
    headers = _headers_of_scope(scope["headers"])
    secure = _is_secure(scope.get("scheme", "http"), headers)
    made = _request(scope["method"], raw_path, raw_query, headers, body, mount, secure)
    made.target_host, made.forwarded_host = scope.get("post3.authority", ""), scope.get("post3.host") or ""
    return made


def _is_secure(scheme: str, headers: dict[str, str]) -> bool:
    """Whether the client uses TLS, to this server or to the proxy that SECURE_PROXY_SSL_HEADER trusts."""
    if settings.SECURE_PROXY_SSL_HEADER:
        name, secure_value = settings.SECURE_PROXY_SSL_HEADER
        told = headers.get(name.removeprefix("HTTP_").lower().replace("_", "-"))
        if told is not None:
            return told.split(",", 1)[0].strip() == secure_value
    return scheme == "https"


def _request(
    method: str, raw_path: str, raw_query: str, headers: dict[str, str], body: Body, mount: str, secure: bool
) -> S3Request:
    bucket, _, key = path_below(raw_path, mount).partition("/")
    return S3Request(
        method=method,
        raw_path=raw_path,
        raw_query=raw_query,
        headers=headers,
        query=parse_query(raw_query) if raw_query else {},
        bucket=percent_decode(bucket),
        key=percent_decode(key),
        body=body,
        secure=secure,
    )


def path_below(raw_path: str, mount: str) -> str:
    """Return the part of a path below the mount, still encoded and without a leading slash.

    The mount is decoded and the path is not, so they are compared segment by segment. A percent-encoded slash does not
    end a segment. Raises InvalidURI if the path does not begin with the mount.
    """
    rest = raw_path
    if not mount and rest.startswith("/"):  # the common case
        return rest[1:]
    for wanted in mount.split("/")[1:]:
        segment, slash, below = rest[1:].partition("/")
        if not rest.startswith("/") or (segment != wanted and percent_decode(segment) != wanted):
            raise InvalidURI(URI=raw_path)
        rest = slash + below
    if rest and not rest.startswith("/"):
        raise InvalidURI(URI=raw_path)
    return rest[1:]


def percent_decode(text: str) -> str:
    """Decode percent-encoding. Raises InvalidURI for invalid UTF-8, and for a NUL, which no database row can hold."""
    try:
        decoded = unquote_to_bytes(text.encode("latin-1")).decode() if "%" in text else text.encode("latin-1").decode()
    except UnicodeError:
        raise InvalidURI(URI=text) from None
    if "\x00" in decoded:
        raise InvalidURI("Keys with a NUL character are not supported.", URI=text)
    return decoded


def parse_query(raw_query: str) -> dict[str, str]:
    """Parse a raw query. A plus sign is a space, as in every form-encoded query that AWS accepts."""
    values: dict[str, str] = {}
    for name, value in split_query(raw_query):
        values.setdefault(percent_decode(name.replace("+", " ")), percent_decode(value.replace("+", " ")))
    return values


def split_query(raw_query: str) -> Iterator[tuple[str, str]]:
    """Yield (name, value) pairs as sent, still encoded."""
    for pair in raw_query.split("&"):
        if pair:
            name, _, value = pair.partition("=")
            yield name, value


def _decode_header(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _headers_of_scope(raw: list[tuple[bytes, bytes]]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for raw_name, raw_value in raw:
        name, value = raw_name.decode("latin-1").lower(), _decode_header(raw_value)
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers


def split_target(target: str) -> tuple[str, str]:
    """Split a request target into (authority, rest). The authority is "" unless the target is in absolute form."""
    match = ABSOLUTE_FORM.match(target)
    if match is None:
        return "", target
    rest = target[match.end() :]
    return match[1], rest if rest.startswith("/") else f"/{rest}"


def _target_of_environ(environ: dict[str, Any]) -> tuple[str, str, str]:
    """Return the authority in the request target, its path and its query."""
    target = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    if target is None:
        raise InvalidURI("This WSGI server does not tell the path as sent (RAW_URI or REQUEST_URI), which signatures need.")
    authority, rest = split_target(target)
    path, _, query = rest.partition("?")
    return authority, path, query


def _headers_of_environ(environ: dict[str, Any]) -> dict[str, str]:
    """Read WSGI's headers. WSGI does not distinguish `-` from `_`; the names in SignedHeaders do."""
    headers: dict[str, str] = {}
    for name, value in environ.items():
        if name.startswith("HTTP_"):
            headers[name[5:].lower().replace("_", "-")] = _decode_header(value.encode("latin-1"))
    if "post3.host_as_sent" in environ:  # the signature covers this host, not the one from a proxy
        headers["host"] = environ["post3.host_as_sent"]
    for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        if environ.get(name):
            headers[name.lower().replace("_", "-")] = _decode_header(environ[name].encode("latin-1"))
    for name in _signed_names(headers, environ.get("QUERY_STRING", "")):
        folded = name.replace("_", "-")
        if name != folded and folded in headers:
            headers[name] = headers.pop(folded)
    return headers


def _signed_names(headers: dict[str, str], raw_query: str) -> list[str]:
    authorization = headers.get("authorization", "")
    _, found, rest = authorization.partition("SignedHeaders=")
    if found:
        return rest.split(",", 1)[0].strip().split(";")
    for name, value in split_query(raw_query):
        if name.lower() == "x-amz-signedheaders":
            return unquote_to_bytes(value).decode("latin-1").split(";")
    return []
