"""What a request to the console is answered whose host is not allowed: the setting's name, and no more."""

import logging
from typing import Any

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse

from post3.api.views.pages import bad_request

SENTENCE = "The host name of this request is not allowed. Add it to POST3_ALLOWED_HOSTS."


def refuse(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 400; the site's `handler400`."""
    if isinstance(exception, DisallowedHost):
        return HttpResponse(f"{SENTENCE}\n", status=400, content_type="text/plain; charset=utf-8")
    return bad_request(request, exception)


class OneLine(logging.Filter):
    """Makes Django's record of a host that is not allowed one line without a traceback: anyone can cause one."""

    def filter(self, record: logging.LogRecord) -> bool:
        request: Any = getattr(record, "request", None)
        host = request.META.get("HTTP_HOST", "") if request is not None else ""
        record.msg, record.args = "A request to %r was refused. Is the name missing in POST3_ALLOWED_HOSTS?", (host[:255],)
        record.exc_info = None
        return True
