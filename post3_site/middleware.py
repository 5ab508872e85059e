"""Middleware that restricts the console and its cookies to the console's origin: docs/security.md."""

from collections.abc import Callable

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.http import HttpRequest, HttpResponseBase
from django.middleware.csrf import CSRF_SESSION_KEY
from django.urls import Resolver404, is_valid_path

from post3.api.views.pages import not_found
from post3.web.origins import came_to_console, console_host

GetResponse = Callable[[HttpRequest], HttpResponseBase]

#: Browsers accept a cookie with this prefix only from the same host, so other hosts of the domain cannot plant one.
PREFIX = "__Host-"


class ConsoleOnItsOriginOnly:
    """Returns 404 on S3's address for paths without a view, so that it does not serve the console's static files."""

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        elsewhere = console_host() is not None and not came_to_console(request)
        if elsewhere and not is_valid_path(request.path_info, settings.ROOT_URLCONF):
            return not_found(request, Resolver404())
        return self._get_response(request)


class CookiesOfThisHost:
    """Under TLS, gives the console's cookies names that no other host can set.

    Views and other middleware see the names in the settings. If a cookie is sent twice with different values, both are
    dropped: one of them was planted, and there is no way to know which.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response
        self._names = (settings.SESSION_COOKIE_NAME, settings.CSRF_COOKIE_NAME)

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        prefix = PREFIX if request.is_secure() else ""
        sent = _cookies(request.META.get("HTTP_COOKIE", ""))
        for name in self._names:
            request.COOKIES.pop(name, None)
            values = {value for sent_name, value in sent if sent_name == prefix + name}
            if len(values) == 1:
                request.COOKIES[name] = values.pop()
        response = self._get_response(request)
        for name in self._names:
            if name in response.cookies:
                _rename(response, name, prefix)
        return response


def _cookies(header: str) -> list[tuple[str, str]]:
    pairs = (part.partition("=") for part in header.split(";"))
    return [(name.strip(), value.strip()) for name, _, value in pairs]


def _rename(response: HttpResponseBase, name: str, prefix: str) -> None:
    """Rename a cookie of the response for the browser. Without TLS, also remove Secure, which browsers would reject."""
    morsel = response.cookies.pop(name)
    attributes = {**morsel, "secure": bool(prefix)}
    response.cookies[prefix + name] = morsel.value
    response.cookies[prefix + name].update(attributes)


class CsrfSecretInTheSession:
    """Keeps the CSRF secret of a logged-in user in the session, where nobody can plant another one.

    CSRF_USE_SESSIONS is not used, because it would store a session for every visitor of the login form. The secret of
    the login form is in a cookie, as in Django's default. CsrfViewMiddleware, further in, sees a cookie in both cases.
    """

    def __init__(self, get_response: GetResponse) -> None:
        self._get_response = get_response
        self._name = settings.CSRF_COOKIE_NAME

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        if SESSION_KEY in request.session:
            request.COOKIES.pop(self._name, None)
            if CSRF_SESSION_KEY in request.session:
                request.COOKIES[self._name] = request.session[CSRF_SESSION_KEY]
        response = self._get_response(request)
        if SESSION_KEY in request.session and self._name in response.cookies:
            secret = response.cookies.pop(self._name).value
            if request.session.get(CSRF_SESSION_KEY) != secret:
                request.session[CSRF_SESSION_KEY] = secret
        return response
