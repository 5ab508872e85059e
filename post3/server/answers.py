"""Responses in the form that the ASGI handler and the fast path send."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.http import HttpResponse, HttpResponseBase

from ..api.exchange import Exchange
from ..s3.responses import S3Response, answer_date


@dataclass(slots=True)
class Answer:
    """A response that is ready to send, from S3 or from any other Django view."""

    status: int
    headers: list[tuple[bytes, bytes]]
    #: The whole body, or an iterator over its pieces.
    body: bytes | Iterator[bytes]
    close: Callable[[], None]
    #: Of an S3 request; its record notes what was sent.
    exchange: Exchange | None = None
    #: As formatted by `responses.http_time`; "" if there is none, or if a project's own view set it.
    last_modified: str = ""

    def date(self) -> None:
        """Add the Date header."""
        self.headers.append((b"Date", answer_date(self.last_modified).encode()))

    @classmethod
    def of_s3(cls, response: S3Response, exchange: Exchange) -> "Answer":
        last_modified = response.headers.get("Last-Modified", "")
        return cls(response.status, response.head(), response.body, response.close, exchange, last_modified)

    @classmethod
    def of_django(cls, response: HttpResponseBase) -> "Answer":
        items = ((name, value) for name, value in response.items() if name.lower() != "date")
        headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in items]
        headers += [(b"set-cookie", cookie.OutputString().encode("latin-1")) for cookie in response.cookies.values()]
        body = response.content if isinstance(response, HttpResponse) else iter(response)
        return cls(response.status_code, headers, body, response.close, getattr(response, "post3_exchange", None))
