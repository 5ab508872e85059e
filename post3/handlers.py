"""The handlers under uvicorn and gunicorn: streams both ways, sync views on worker threads.

Django's own ASGI handler spools every upload to a file before the view starts and reads a sync iterator whole into a list;
both are fatal for an object store, and it serves 1,730 requests per second and core where this one serves 9,430
(architecture, decision 1). Here
 - a small body is read before a thread is taken, so that slow senders of small bodies hold none;
 - a large body is a blocking, file-like object fed from `receive()` through a bounded buffer (`streams.py`);
 - views run on plain threads that keep their own database connection;
 - a streaming response is pulled piece by piece on those threads and sent from the event loop, so that a slow reader holds none.

S3 requests go around the middleware, whose sessions, CSRF and host checks are the console's.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.core import signals
from django.core.handlers.asgi import ASGIRequest, get_script_prefix
from django.core.handlers.base import BaseHandler
from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponseBadRequest, HttpResponseBase
from django.urls import Resolver404, resolve, set_script_prefix

from .conf import conf
from .streams import MemoryBody, StreamedBody, StreamedFile, gone

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

#: Bytes up to which a body is read before its request gets a thread.
PREFETCH_SIZE = 256 * 1024


class AroundMiddleware:
    """Sends S3 requests straight to `dispatch`, all others through the project's middleware."""

    def get_response(self, request: HttpRequest) -> HttpResponseBase:
        try:
            match = resolve(request.path_info)
        except Resolver404:
            return super().get_response(request)
        if getattr(match.func, "goes_around_middleware", False):
            response = match.func(request, *match.args, **match.kwargs)
            response._resource_closers.append(request.close)
            return response
        return super().get_response(request)


class Post3WSGIHandler(AroundMiddleware, WSGIHandler):
    """Django's WSGI handler, S3 requests going around the middleware."""


class Post3ASGIHandler(AroundMiddleware, BaseHandler):
    """One ASGI application: S3, console, health."""

    def __init__(self) -> None:
        super().__init__()
        self.load_middleware(is_async=False)
        self._threads = ThreadPoolExecutor(conf.THREADS, "post3")
        self._upload_threads = ThreadPoolExecutor(conf.UPLOAD_THREADS, "post3-upload")

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            await self._handle(scope, receive, send)
        else:
            raise ValueError(f"post3 serves HTTP, not {scope['type']}.")

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                await send({"type": "lifespan.startup.complete"})
            else:
                self._threads.shutdown(wait=False, cancel_futures=True)
                self._upload_threads.shutdown(wait=False, cancel_futures=True)
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _handle(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        loop = asyncio.get_running_loop()
        length, expects_continue = _announced_body(scope["headers"])
        if length is not None and length <= PREFETCH_SIZE:
            body = await MemoryBody.receive(receive, length, expects_continue)
            threads = self._threads
        else:
            body = StreamedBody(loop, receive)
            threads = self._upload_threads
        try:
            response = await loop.run_in_executor(threads, self._respond, scope, body)
            if expects_continue and not body.begun:
                # The client will not send the body now, and the server would take its next request for it (RFC 9110, 10.1.1).
                response["Connection"] = "close"
            await self._send(response, loop, receive, send)
        finally:
            body.stop()

    def _respond(self, scope: dict[str, Any], body: MemoryBody | StreamedBody) -> HttpResponseBase:
        set_script_prefix(get_script_prefix(scope))
        signals.request_started.send(sender=self.__class__, scope=scope)
        try:
            request = ASGIRequest(scope, StreamedFile(body))
        except UnicodeDecodeError:
            return HttpResponseBadRequest("The query is not ASCII.", content_type="text/plain")
        request.post3_body = body
        response = self.get_response(request)
        if not response.streaming:
            response.close()  # the content stays readable
        return response

    async def _send(self, response: HttpResponseBase, loop: asyncio.AbstractEventLoop, receive: Receive, send: Send) -> None:
        headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in response.items()]
        headers += [(b"set-cookie", cookie.OutputString().encode("latin-1")) for cookie in response.cookies.values()]
        try:
            await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
            if response.streaming:
                await self._send_pieces(response, loop, receive, send)
            else:
                await send({"type": "http.response.body", "body": response.content})
        finally:
            if response.streaming:
                await loop.run_in_executor(self._threads, response.close)

    async def _send_pieces(
        self, response: HttpResponseBase, loop: asyncio.AbstractEventLoop, receive: Receive, send: Send
    ) -> None:
        client_gone = loop.create_task(gone(receive))
        pieces = iter(response)
        try:
            while not client_gone.done():
                piece = await loop.run_in_executor(self._threads, next, pieces, None)
                if piece is None:
                    await send({"type": "http.response.body"})
                    return
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        finally:
            client_gone.cancel()


def _announced_body(headers: list[tuple[bytes, bytes]]) -> tuple[int | None, bool]:
    """Return Content-Length (0: no body; None: a body of unknown length), and whether the client waits for `100 Continue`."""
    length, chunked, expects_continue = b"0", False, False
    for name, value in headers:
        if name == b"content-length":
            length = value
        elif name == b"transfer-encoding":
            chunked = True
        elif name == b"expect":
            expects_continue = value.lower() == b"100-continue"
    return (int(length) if length.isdigit() and not chunked else None), expects_continue


def get_asgi_application() -> Post3ASGIHandler:
    """Set Django up and return the ASGI application."""
    _set_up()
    return Post3ASGIHandler()


def get_wsgi_application() -> Post3WSGIHandler:
    """Set Django up and return the WSGI application."""
    _set_up()
    return Post3WSGIHandler()


def _set_up() -> None:
    import django

    django.setup(set_prefix=False)
