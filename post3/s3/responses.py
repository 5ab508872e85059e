"""S3's responses as plain values.

These are not Django's HttpResponse: creating one and converting its headers back and forth takes 30 of the 250 µs of a
GET. `dispatch` creates one if Django itself serves the request. The ASGI handler sends these responses directly.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from time import time

from ..errors import S3Error
from ..web.header_fields import clean_value, is_name, is_value
from . import encoded_words
from .documents import Node, document

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_METADATA = "x-amz-meta-"


@dataclass(slots=True)
class S3Response:
    status: int
    #: Values may be any text; `head` encodes them.
    headers: dict[str, str] = field(default_factory=dict)
    #: The whole body, or an iterator over its pieces.
    body: bytes | Iterator[bytes] = b""

    def head(self) -> list[tuple[bytes, bytes]]:
        """Return the headers in the form in which they are sent.

        Every server handler writes exactly these headers, so nothing in them can end a header and start another. User
        metadata that cannot be a header is left out and counted in `x-amz-missing-meta` (B130). Other headers' values
        are cleaned.
        """
        made, missing = [], 0
        for name, value in self.headers.items():
            wire_name = _wire_name(name)
            if wire_name and value.isascii() and value.isprintable():
                made.append((wire_name, value.encode()))
            elif name.startswith(_METADATA):
                if wire_name and is_value(value):
                    made.append((wire_name, value.encode() if value.isascii() else encoded_words.encode(value).encode()))
                else:
                    missing += 1
            elif wire_name:
                made.append((wire_name, clean_value(value).encode()))
        if missing:
            made.append((b"x-amz-missing-meta", str(missing).encode()))
        return made

    def close(self) -> None:
        """Release the source of the pieces."""
        close = getattr(self.body, "close", None)
        if close is not None:
            close()


@lru_cache(maxsize=1024)
def _wire_name(name: str) -> bytes:
    """Return a header's name as bytes, empty if it is invalid. Cached: most responses have the same dozen names."""
    return name.encode() if is_name(name) and name != _METADATA else b""


def xml(root: str, nodes: list[Node] | str, headers: dict[str, str] | None = None) -> S3Response:
    """Return a response with a document in S3's namespace."""
    return _document(200, document(root, nodes), headers or {})


def common_prefixes(names: Iterable[str]) -> list[Node]:
    """Return the elements of a listing's common prefixes."""
    return [("CommonPrefixes", [("Prefix", name)]) for name in names]


def empty(status: int = 200, headers: dict[str, str] | None = None) -> S3Response:
    """Return a response without a body."""
    fields = {} if status == 204 else {"Content-Length": "0"}
    return S3Response(status, fields | (headers or {}))


def error_response(error: S3Error, method: str, request_id: str, host_id: str) -> S3Response:
    """Return a response with S3's error document (B001). HEAD and 304 have no document (B004)."""
    if error.status == 304:
        return S3Response(304, dict(error.headers))
    nodes: list[Node] = [("Code", error.code), ("Message", error.text), *error.fields.items()]
    nodes += [("RequestId", request_id), ("HostId", host_id)]
    return _document(error.status, b"" if method == "HEAD" else document("Error", nodes, namespace=False), error.headers)


def whole(body: bytes | Iterator[bytes], status: int, headers: dict[str, str]) -> S3Response:
    """Return a response with bytes of an object. `headers` must include Content-Length."""
    return S3Response(status, headers, body)


def _document(status: int, body: bytes, headers: dict[str, str]) -> S3Response:
    fields = {"Content-Type": "application/xml", "Content-Length": str(len(body))}
    return S3Response(status, fields | headers, body)


def http_time(moment: datetime) -> str:
    """Format a UTC datetime as an HTTP date. Does not use `email.utils`, which takes four times as long."""
    day, month = _DAYS[moment.weekday()], _MONTHS[moment.month - 1]
    return f"{day}, {moment.day:02} {month} {moment.year} {moment.hour:02}:{moment.minute:02}:{moment.second:02} GMT"


def answer_date(last_modified: str = "") -> str:
    """Return the Date for a response, which must not be earlier than its Last-Modified (RFC 9110, 8.8.2.1).

    The same clock sets Last-Modified, but the clock of another server of the same store may be ahead.
    """  # B123
    date = _written(int(time()))
    if last_modified and last_modified != date and _sortable(last_modified) > _sortable(date):
        return last_modified
    return date


@lru_cache(maxsize=2)
def _written(second: int) -> str:
    return http_time(datetime.fromtimestamp(second, UTC))


def _sortable(date: str) -> tuple[str, int, str, str]:
    """Return the year, month, day and time of day of a date formatted by `http_time`."""
    return date[12:16], _MONTHS.index(date[8:11]), date[5:7], date[17:25]
