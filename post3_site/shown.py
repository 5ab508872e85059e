"""Middleware that escapes untrusted text in the site's pages."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from post3.visible import visible_page


class VisibleTextMiddleware:
    """Escapes unprintable characters in every page. Titles, breadcrumbs and messages quote keys, as table cells do."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self._get_response(request)
        if isinstance(response, HttpResponse) and response.headers.get("Content-Type", "").startswith("text/html"):
            page = response.content.decode(response.charset)
            if (shown := visible_page(page)) is not page:
                response.content = shown
                if "Content-Length" in response.headers:
                    response.headers["Content-Length"] = str(len(response.content))
        return response
