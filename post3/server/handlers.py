"""The handlers for uvicorn and gunicorn: streaming in both directions, with sync views on worker threads.

Django's own ASGI handler spools every upload to a file before the view starts, and reads a sync iterator into a list.
Both rule it out for an object store (architecture, decision 1: 1,730 requests per second and core, 9,430 here).
Instead:
 - A small body is read before a thread is taken, so slow senders of small bodies hold no thread.
 - A large body is a blocking, file-like object fed from `receive()` through a bounded buffer (`server/bodies.py`).
 - Views run on plain threads that keep their own database connections.
 - A streaming response is read in pieces on threads and sent by the event loop, so a slow reader holds no thread.
 - S3 requests bypass the middleware: sessions, CSRF and host checks are for the console.
"""

import asyncio
from functools import partial
from typing import Any

from django.core import signals
from django.core.handlers.asgi import ASGIRequest, get_script_prefix
from django.core.handlers.base import BaseHandler
from django.db import DEFAULT_DB_ALIAS, connections
from django.http import HttpResponseBadRequest
from django.urls import set_script_prefix

from ..api.exchange import Exchange
from ..conf import conf
from ..db import outages
from ..s3.request import request_of_scope
from ..telemetry.counters import counts
from ..threads.pools import ParkingThreads, Threads
from ..web import origins, proxies
from ..web.mount import Mount, find_mount
from .answers import Answer
from .around import AroundMiddleware, Post3WSGIHandler
from .bodies import MemoryBody, StreamedBody, StreamedFile, announced_body
from .lifespan import UNBOUNDED, take_over
from .pages import Pages, Refused, Role, role_of, role_on_console
from .sending import Receive, Send, Sender
from .startup import set_up

#: Bodies of at most this many bytes are read before their request gets a thread.
PREFETCH_SIZE = 256 * 1024
#: Seconds that threads have, after the server's own limit, to remove partially written data.
CLEAN_UP = 2.0


class Post3ASGIHandler(AroundMiddleware, BaseHandler):
    """The ASGI application that serves S3, the console, and health checks."""

    def __init__(self, *, requires_limits: bool = False) -> None:
        super().__init__()
        from ..api.dispatch import answer  # here, because it imports the models, which need Django set up

        self._answer = answer
        self.load_middleware(is_async=False)
        self._threads, self._pages = Threads(conf.THREADS, "post3"), Pages()
        self._readers = Threads(conf.READ_THREADS, "post3-read", keeps_connections=False)
        self._upload_threads = ParkingThreads(conf.UPLOAD_THREADS, conf.PARKED_UPLOADS, "post3-upload")
        self._mount: Mount | None = find_mount()
        self._console = origins.console_host()
        counts.watch(self._count_threads)
        self._requires_limits = requires_limits
        #: Whether the handler must write the Date header, and whether startup in a supported server has completed.
        self._dates = self._started = False

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            if self._requires_limits and not self._started:
                raise RuntimeError(UNBOUNDED)
            await self._handle(scope, receive, send)
        else:
            raise ValueError(f"post3 serves HTTP, not {scope['type']}.")

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                self._started = self._dates = take_over(receive)
                if not self._dates and self._requires_limits:
                    await send({"type": "lifespan.startup.failed", "message": UNBOUNDED})
                    return
                counts.join()
                await send({"type": "lifespan.startup.complete"})
            else:
                await self._end()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _end(self) -> None:
        """Stop the threads. The process may end next, so interrupted calls get time to clean up."""
        pools = (self._threads, self._readers, self._pages.threads, self._pages.probe_threads)
        for pool in (*pools, self._upload_threads):
            pool.shutdown()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + CLEAN_UP
        while any(pool.counts()["running"] for pool in pools) or self._upload_threads.is_busy():
            if loop.time() > deadline:
                return
            await asyncio.sleep(0.02)

    async def _handle(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        proxies.settle_scope(scope, receive)
        if not self._is_s3(scope):
            await self._handle_page(scope, receive, send)
            return
        with Exchange(scope) as exchange:
            await self._serve(scope, receive, send, exchange, self._threads)

    async def _handle_page(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Handle a request that may not be for S3, on threads that S3 does not need (`server/pages.py`)."""
        path = scope["path"].removeprefix(get_script_prefix(scope))
        role = role_on_console(path) if self._is_consoles(scope) else role_of(path, self._mount)
        threads = {Role.S3: self._threads, Role.PROBE: self._pages.probe_threads}.get(role, self._pages.threads)
        length, expects_continue = announced_body(scope["headers"])
        try:
            if role is not Role.S3:
                self._pages.admit(threads)
            if role in (Role.S3, Role.PROJECT):
                await self._serve(scope, receive, send, None, threads)
                return
            body = await self._pages.read_form(receive, length, expects_continue)
            self._pages.admit(threads)  # check again, because reading the form may have taken long
            answer = await threads.run(self._respond, scope, body, None)
        except Refused as refused:
            answer = Answer.of_django(refused.response())
            if expects_continue:  # as in `_serve`
                answer.headers.append((b"Connection", b"close"))
        await self._send(answer, receive, send, threads)

    def start(self, scope: dict[str, Any], body: MemoryBody) -> tuple[Exchange, asyncio.Future[Answer]] | None:
        """Start handling a complete request, for `server/fast_path.py`. Return None if the request may not be for S3.

        The response is sent by `send`, or by the caller, which must then finish the exchange.
        """
        if not self._is_s3(scope):
            return None
        exchange = Exchange(scope, body)
        return exchange, self._threads.run(self._respond, scope, body, exchange)

    async def send(
        self, coming: asyncio.Future[Answer], exchange: Exchange, scope: dict[str, Any], receive: Receive, send: Send
    ) -> None:
        with exchange:
            await self._send(coming.result(), receive, send, self._threads)

    def date(self, answer: Answer) -> None:
        """Add the Date header to a response that is about to be sent, unless the server adds it."""
        if self._dates:
            answer.date()

    def _is_s3(self, scope: dict[str, Any]) -> bool:
        path, mount = scope["path"].removeprefix(get_script_prefix(scope)), self._mount
        return mount is not None and mount.holds(path) and not self._is_consoles(scope)

    def _is_consoles(self, scope: dict[str, Any]) -> bool:
        """Whether the request was sent to the console's own origin."""
        return self._console is not None and self._console.holds_scope(scope)

    async def _serve(
        self, scope: dict[str, Any], receive: Receive, send: Send, exchange: Exchange | None, threads: Threads
    ) -> None:
        """Handle a request and send its response.

        `exchange`: None if the resolver routes the request; a view for S3 then creates an exchange. `threads`: the pool
        for a request without a large body.
        """
        length, expects_continue = announced_body(scope["headers"])
        body: MemoryBody | StreamedBody
        # Requesting the body sends `100 Continue`. Only the view may do so, once the request is authenticated (B124).
        if length is not None and length <= PREFETCH_SIZE and not expects_continue:
            body = await MemoryBody.receive(receive, length, expects_continue)
            pool: Threads | ParkingThreads = threads
        else:
            body = StreamedBody(asyncio.get_running_loop(), receive)
            pool = self._upload_threads
        if exchange is not None:
            exchange.body = body
        try:
            answer = await pool.run(self._respond, scope, body, exchange)
            if expects_continue and not body.begun:
                # The client will not send the body; its next request would be read as the body (RFC 9110, 10.1.1).
                answer.headers.append((b"Connection", b"close"))
            try:
                await self._send(answer, receive, send, threads)
            finally:
                if exchange is None and answer.exchange is not None:
                    answer.exchange.finish()
        finally:
            body.stop()

    def _respond(self, scope: dict[str, Any], body: MemoryBody | StreamedBody, exchange: Exchange | None) -> Answer:
        root = get_script_prefix(scope)
        set_script_prefix(root)
        if exchange is None or self._mount is None:
            return self._respond_by_django(scope, body)
        # Do what Django's request signals do, replacing broken or expired connections. Sending the signals costs 30 µs.
        database = connections[DEFAULT_DB_ALIAS]
        outages.begin(database)
        try:
            mount = (root if scope["path"].startswith(root) else "") + self._mount.prefix.removesuffix("/")
            response = self._answer(exchange, scope["method"], partial(request_of_scope, scope, body, mount))
            return Answer.of_s3(response, exchange)
        finally:
            outages.end(database)

    def _respond_by_django(self, scope: dict[str, Any], body: MemoryBody | StreamedBody) -> Answer:
        signals.request_started.send(sender=self.__class__, scope=scope)
        try:
            request = ASGIRequest(scope, StreamedFile(body))  # type: ignore[arg-type]  # Django only reads it
        except UnicodeDecodeError:
            return Answer.of_django(HttpResponseBadRequest("The query is not ASCII.", content_type="text/plain"))
        request.post3_body = body  # type: ignore[attr-defined]  # for `body_of`
        response = self.get_response(request)
        answer = Answer.of_django(response)
        if not response.streaming:
            if answer.exchange is not None:  # `_serve` finishes it when the response is sent
                response._resource_closers.remove(answer.exchange.finish)  # type: ignore[attr-defined]  # not in django-stubs
            response.close()  # the content remains readable
        return answer

    async def _send(self, answer: Answer, receive: Receive, send: Send, threads: Threads) -> None:
        """Send a response. Its body is iterated and closed on `threads`."""
        self.date(answer)
        await Sender(receive, send, threads, self._readers).send_answer(answer)

    def _count_threads(self) -> dict[str, int]:
        """Return the gauges of the thread pools by name, as `telemetry.counters` expects them."""
        pools: dict[str, Threads | ParkingThreads] = {"requests": self._threads, "uploads": self._upload_threads}
        pools |= {"reads": self._readers, "console": self._pages.threads}
        return {f"{pool} {state}": count for pool, threads in pools.items() for state, count in threads.counts().items()}


def get_asgi_application(*, requires_limits: bool = False) -> Post3ASGIHandler:
    """Set Django up and return the ASGI application.

    With `requires_limits`, the application does not start under a server that cannot use post3's protocol limits.
    """
    set_up()
    return Post3ASGIHandler(requires_limits=requires_limits)


def get_wsgi_application() -> Post3WSGIHandler:
    """Set Django up and return the WSGI application."""
    set_up()
    from ..api import dispatch  # noqa: F401  (registers all counters before the first request)

    return Post3WSGIHandler()
