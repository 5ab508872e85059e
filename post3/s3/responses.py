"""S3's answers, as plain values.

Not Django's HttpResponse: making one, and converting its headers to and fro, costs 30 µs of the 250 that a GET takes.
`dispatch` makes one where Django itself serves, the ASGI handler sends these as they are.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from email.header import Header

from ..errors import S3Error
from .documents import Node, document

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(slots=True)
class S3Response:
    status: int
    #: Values are Latin-1: each character is a byte on the wire.
    headers: dict[str, str] = field(default_factory=dict)
    #: All of it, or pieces to be sent one by one.
    body: bytes | Iterator[bytes] = b""

    def close(self) -> None:
        """Let go of what the pieces come from."""
        close = getattr(self.body, "close", None)
        if close is not None:
            close()


def xml(root: str, nodes: list[Node] | str, headers: dict[str, str] | None = None) -> S3Response:
    """Answer with a document in S3's namespace."""
    return _document(200, document(root, nodes), headers or {})


def empty(status: int = 200, headers: dict[str, str] | None = None) -> S3Response:
    """Answer without a body."""
    fields = {} if status == 204 else {"Content-Length": "0"}
    return S3Response(status, fields | _wire(headers or {}))


def error_response(error: S3Error, method: str, request_id: str, host_id: str) -> S3Response:
    """Answer with S3's error document (B001); to HEAD and with 304 there is none (B004)."""
    if error.status == 304:
        return S3Response(304, _wire(error.headers))
    nodes: list[Node] = [("Code", error.code), ("Message", error.text), *error.fields.items()]
    nodes += [("RequestId", request_id), ("HostId", host_id)]
    return _document(error.status, b"" if method == "HEAD" else document("Error", nodes, namespace=False), error.headers)


def whole(body: bytes | Iterator[bytes], status: int, headers: dict[str, str]) -> S3Response:
    """Answer with bytes of an object; `headers` tell their length."""
    return S3Response(status, _wire(headers), body)


def _document(status: int, body: bytes, headers: dict[str, str]) -> S3Response:
    fields = {"Content-Type": "application/xml", "Content-Length": str(len(body))}
    return S3Response(status, fields | _wire(headers), body)


def _wire(headers: dict[str, str]) -> dict[str, str]:
    """Spell headers in bytes that HTTP allows."""
    for name, value in headers.items():
        if not (value.isascii() and value.isprintable()):
            headers = headers | {name: _wire_value(name, value)}
    return headers


def _wire_value(name: str, value: str) -> str:
    """Of what is not ASCII, user metadata is written as RFC 2047 words, all else as its UTF-8 bytes (B029)."""
    if "\n" in value or "\r" in value:
        raise ValueError(f"The header {name} would end at a line break: {value!r}.")
    if value.isascii():
        return value
    if name.startswith("x-amz-meta-"):
        return Header(value, "utf-8", maxlinelen=10**9).encode()
    return value.encode().decode("latin-1")


def http_time(moment: datetime) -> str:
    """A moment, in UTC, as HTTP writes it. Not by `email.utils`, which takes four times as long."""
    day, month = _DAYS[moment.weekday()], _MONTHS[moment.month - 1]
    return f"{day}, {moment.day:02} {month} {moment.year} {moment.hour:02}:{moment.minute:02}:{moment.second:02} GMT"
