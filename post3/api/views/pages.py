"""The error pages of the console's origin.

They replace Django's own, which check the CSRF token before they respond. That reads the form, and an unreadable form
would turn the error into a 500.
"""

from django.http import HttpRequest, HttpResponse


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 404, as a `handler404`."""
    return _sentence("There is nothing here.", 404)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    """Answer 400, as a `handler400`."""
    return _sentence("This request cannot be answered.", 400)


def _sentence(text: str, status: int) -> HttpResponse:
    return HttpResponse(f"{text}\n", status=status, content_type="text/plain; charset=utf-8")
