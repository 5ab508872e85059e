"""The server's HTTP protocol: uvicorn's, with limits (`server/limits.py`) and a fast path for small S3 requests.

A request that is entirely in memory, and whose response is too, needs no task, coroutines or messages. It goes to a
worker thread, and the response is written in one piece. Everything else is handled through ASGI: longer bodies and
responses, and clients that wait for `100 Continue` or are slow to read. With 4 KiB objects and 8 connections, the fast
path serves 1.12 times as many GETs and 1.28 times as many PUTs as ASGI alone (docs/performance.md).

    gunicorn -c python:post3_site.gunicorn -k post3_site.worker.Worker post3_site.asgi:application
    uvicorn post3_site.asgi:application
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from ..api.exchange import Exchange
from ..web import proxies
from .answers import Answer
from .bodies import MemoryBody, announced_body, tells_of_closed
from .handlers import Post3ASGIHandler
from .limits import BoundedProtocol

Application = Callable[..., Awaitable[None]]


class Protocol(BoundedProtocol):
    """One connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if isinstance(self.app, ProxyHeadersMiddleware):
            self.app = self.app.app  # POST3_TRUSTED_PROXIES alone decides which proxies to trust (`web/proxies.py`)
        app = self.app
        #: None for another application, or for one wrapped in middleware, which must not be bypassed.
        self._handler = app if isinstance(app, Post3ASGIHandler) else None
        #: Whether bytes are being parsed, and the request that started in them.
        self._parsing = False
        self._begun: RequestResponseCycle | None = None

    def data_received(self, data: bytes) -> None:
        self._parsing = True
        try:
            super().data_received(data)
        finally:
            self._parsing = False
        cycle, self._begun = self._begun, None
        if cycle is None or cycle.disconnected or self.transport.is_closing():
            return  # `disconnected`: the request was refused because of an error further on in the same bytes
        if not self._take(cycle):
            super()._start_asgi_task(cycle, self.app)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Application) -> None:
        """Wait until the rest of the same bytes is parsed, as it may contain the whole body."""
        if self._parsing and self._handler is not None and app is self.app:
            self._begun = cycle
        else:
            super()._start_asgi_task(cycle, app)

    def _take(self, cycle: RequestResponseCycle) -> bool:
        """Start handling a request. Return False if it must be handled through ASGI."""
        scope: Any = cycle.scope  # a TypedDict without the keys that post3 adds
        if cycle.more_body or cycle.waiting_for_100_continue:
            return False
        body = bytes(cycle.body)
        if announced_body(scope["headers"])[0] != len(body):
            return False
        proxies.settle_scope(scope)
        taken = self._handler.start(scope, MemoryBody(body, True)) if self._handler else None
        if taken is None:
            return False
        exchange, coming = taken
        tasks: set[Any] = self.tasks
        tasks.add(coming)  # the server waits for these at shutdown
        coming.add_done_callback(partial(self._answer, cycle, exchange))
        return True

    def _answer(self, cycle: RequestResponseCycle, exchange: Exchange, coming: asyncio.Future[Answer]) -> None:
        self.tasks.discard(coming)
        if self._handler is None:
            return
        if coming.cancelled():  # the server is stopping, and its grace period is over
            exchange.finish()
            return
        failed = coming.exception() is not None
        if failed or self.flow.write_paused or not isinstance(coming.result().body, bytes):
            super()._start_asgi_task(cycle, partial(self._handler.send, coming, exchange))
            return
        answer = coming.result()
        assert isinstance(answer.body, bytes)
        try:
            if not (cycle.disconnected or self.transport.is_closing()):
                self._handler.date(answer)
                self._write(cycle, answer, answer.body)
                exchange.sent_whole(len(answer.body))
        except RuntimeError as error:
            if not tells_of_closed(error):
                raise
        finally:
            exchange.finish()

    def _write(self, cycle: RequestResponseCycle, answer: Answer, body: bytes) -> None:
        content = [STATUS_LINE[answer.status]]
        for name, value in (*self.server_state.default_headers, *answer.headers):
            content += (name, b": ", value, b"\r\n")
        content.append(b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n")
        if cycle.scope["method"] != "HEAD":
            content.append(body)
        self.transport.write(b"".join(content))
        cycle.response_started = cycle.response_complete = True
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()
