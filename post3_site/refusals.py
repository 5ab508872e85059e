"""The response to a console request with a disallowed host. It gives the name of the setting and nothing more."""

import logging
from typing import Any

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse

from post3.api.views.pages import bad_request

SENTENCE = "The host name of this request is not allowed. Add it to POST3_ALLOWED_HOSTS."


def refuse(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Return a 400 response. This is the site's `handler400`."""
    if isinstance(exception, DisallowedHost):
        return HttpResponse(f"{SENTENCE}\n", status=400, content_type="text/plain; charset=utf-8")
    return bad_request(request, exception)


class OneLine(logging.Filter):
    """Reduces Django's log record of a disallowed host to a line without a traceback, because anyone can cause one."""

    def filter(self, record: logging.LogRecord) -> bool:
        request: Any = getattr(record, "request", None)
        host = request.META.get("HTTP_HOST", "") if request is not None else ""
        record.msg, record.args = "A request to %r was refused. Is the name missing in POST3_ALLOWED_HOSTS?", (host[:255],)
        record.exc_info = None
        return True
