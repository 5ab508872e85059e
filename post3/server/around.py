"""Routing of S3 requests around Django's middleware, and Django's WSGI handler with post3's limits."""

from django.core.handlers.base import BaseHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponseBase
from django.urls import Resolver404, resolve

from ..conf import conf
from ..web import origins, proxies
from ..web.mount import find_mount
from .pages import Places, Refused, Role, role_of, role_on_console, too_large


class AroundMiddleware(BaseHandler):
    """A mixin that sends S3 requests straight to `dispatch`, and all others through the project's middleware."""

    def get_response(self, request: HttpRequest) -> HttpResponseBase:
        proxies.settle_request(request)
        try:
            match = resolve(request.path_info, origins.choose_urlconf(request))
        except Resolver404:
            return super().get_response(request)
        if getattr(match.func, "goes_around_middleware", False):
            response: HttpResponseBase = match.func(request, *match.args, **match.kwargs)
            response._resource_closers.append(request.close)  # type: ignore[attr-defined]  # not in django-stubs
            return response
        return super().get_response(request)


class Post3WSGIHandler(AroundMiddleware, WSGIHandler):
    """Django's WSGI handler. S3 requests bypass the middleware, and the console is limited to a few of the threads."""

    def __init__(self) -> None:
        super().__init__()
        self._mount, self._places = find_mount(), Places()

    def get_response(self, request: HttpRequest) -> HttpResponseBase:
        proxies.settle_request(request)
        if not self._is_for_console(request):
            return super().get_response(request)
        try:
            # Django's WSGI request treats a chunked body as empty.
            length = request.META.get("CONTENT_LENGTH") or ""
            if length.isascii() and length.isdigit() and int(length) > conf.MAX_FORM_SIZE:
                raise too_large()
            with self._places.take():
                return super().get_response(request)
        except Refused as refused:
            return refused.response()

    def _is_for_console(self, request: HttpRequest) -> bool:
        path, mount = request.path_info, self._mount
        if origins.came_to_console(request):
            return role_on_console(path) is Role.CONSOLE
        return not (mount is not None and mount.holds(path)) and role_of(path, mount) is Role.CONSOLE
