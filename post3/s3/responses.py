"""S3's answers as Django responses."""

from collections.abc import Iterable
from datetime import datetime
from email.header import Header
from email.utils import formatdate

from django.http import HttpResponse, StreamingHttpResponse

from ..errors import S3Error
from .documents import Node, document


def xml(root: str, nodes: list[Node] | str, status: int = 200) -> HttpResponse:
    """Answer with a document in S3's namespace."""
    return _with_length(HttpResponse(document(root, nodes), status=status, content_type="application/xml"))


def empty(status: int = 200, headers: dict[str, str] | None = None) -> HttpResponse:
    """Answer without a body."""
    response = HttpResponse(status=status)
    del response["Content-Type"]
    if status != 204:
        response["Content-Length"] = "0"
    set_headers(response, headers or {})
    return response


def error_response(error: S3Error, method: str, request_id: str, host_id: str) -> HttpResponse:
    """Answer with S3's error document (B001); to HEAD and with 304 there is none (B004)."""
    if error.status == 304:
        response = HttpResponse(status=304)
        del response["Content-Type"]
    else:
        nodes: list[Node] = [("Code", error.code), ("Message", error.text), *error.fields.items()]
        nodes += [("RequestId", request_id), ("HostId", host_id)]
        body = b"" if method == "HEAD" else document("Error", nodes, namespace=False)
        response = _with_length(HttpResponse(body, status=error.status, content_type="application/xml"))
    set_headers(response, error.headers)
    return response


def streaming(body: Iterable[bytes], status: int, headers: dict[str, str]) -> StreamingHttpResponse:
    """Answer with a body that is sent piece by piece."""
    response = StreamingHttpResponse(body, status=status)
    del response["Content-Type"]
    set_headers(response, headers)
    return response


def whole(body: bytes, status: int, headers: dict[str, str]) -> HttpResponse:
    """Answer with a body that is at hand; `headers` tell its length."""
    response = HttpResponse(body, status=status)
    del response["Content-Type"]
    set_headers(response, headers)
    return response


def set_headers(response: HttpResponse, headers: dict[str, str]) -> None:
    """Set headers. Of what is not ASCII, user metadata is written as RFC 2047 words, all else as its UTF-8 bytes (B029)."""
    for name, value in headers.items():
        if value.isascii():
            response[name] = value
        elif name.startswith("x-amz-meta-"):
            response[name] = Header(value, "utf-8", maxlinelen=10**9).encode()
        else:
            response[name] = value.encode()  # Django reads bytes as Latin-1 and writes them so


def http_time(moment: datetime) -> str:
    """A moment as HTTP writes it."""
    return formatdate(moment.timestamp(), usegmt=True)


def _with_length(response: HttpResponse) -> HttpResponse:
    response["Content-Length"] = str(len(response.content))
    return response
