"""The server's HTTP protocol: uvicorn's within bounds (`server/limits.py`), with a short way for small S3 requests.

A request that is whole in memory, and whose answer is too, needs no task, no coroutines and no messages: it goes to a worker
thread, and what comes back is written in one piece. Everything else takes ASGI's way: longer bodies and answers, clients that
wait for `100 Continue` or do not take what they were sent. GET of 4 KiB at 8
connections 1.12, PUT 1.28 of ASGI's way alone (docs/performance.md).

    gunicorn -c python:post3_site.gunicorn -k post3_site.worker.Worker post3_site.asgi:application
    uvicorn post3_site.asgi:application
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from ..telemetry.requests import Observation
from ..web import proxies
from .answers import Answer
from .bodies import MemoryBody, tells_of_closed
from .handlers import Post3ASGIHandler, announced_body
from .limits import BoundedProtocol

Application = Callable[..., Awaitable[None]]


class Protocol(BoundedProtocol):
    """One connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if isinstance(self.app, ProxyHeadersMiddleware):
            self.app = self.app.app  # whose forwarding headers count, POST3_TRUSTED_PROXIES says (`web/proxies.py`)
        app = self.app
        #: None: another application, or one with middleware around, which nothing may go past.
        self._handler = app if isinstance(app, Post3ASGIHandler) else None
        #: Whether bytes are being parsed, and the request that began in them.
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
            return  # `disconnected`: refused, because what followed in the same bytes was wrong
        if not self._take(cycle):
            super()._start_asgi_task(cycle, self.app)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Application) -> None:
        """Wait for what else is in the same bytes, which may be all of its body."""
        if self._parsing and self._handler is not None and app is self.app:
            self._begun = cycle
        else:
            super()._start_asgi_task(cycle, app)

    def _take(self, cycle: RequestResponseCycle) -> bool:
        """Begin to answer a request; return False where it must take ASGI's way."""
        headers = cycle.scope["headers"]
        if cycle.more_body or cycle.waiting_for_100_continue:
            return False
        body = bytes(cycle.body)
        if announced_body(headers)[0] != len(body):
            return False
        proxies.settle_scope(cycle.scope)
        taken = self._handler.start(cycle.scope, MemoryBody(body, True)) if self._handler else None
        if taken is None:
            return False
        observation, coming = taken
        self.tasks.add(coming)  # the server waits for these when it stops
        coming.add_done_callback(partial(self._answer, cycle, observation))
        return True

    def _answer(self, cycle: RequestResponseCycle, observation: Observation, coming: asyncio.Future[Answer]) -> None:
        self.tasks.discard(coming)
        if self._handler is None:
            return
        if coming.cancelled():  # the server stops, and has waited long enough
            self._handler.finish(observation)
            return
        failed = coming.exception() is not None
        if failed or self.flow.write_paused or not isinstance(coming.result().body, bytes):
            super()._start_asgi_task(cycle, partial(self._handler.send, coming, observation))
            return
        answer = coming.result()
        try:
            if not (cycle.disconnected or self.transport.is_closing()):
                self._handler.date(answer)
                self._write(cycle, answer)
                observation.sent, observation.whole = len(answer.body), True
        except RuntimeError as error:
            if not tells_of_closed(error):
                raise
        finally:
            self._handler.finish(observation)

    def _write(self, cycle: RequestResponseCycle, answer: Answer) -> None:
        content = [STATUS_LINE[answer.status]]
        for name, value in (*self.server_state.default_headers, *answer.headers):
            content += (name, b": ", value, b"\r\n")
        content.append(b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n")
        if cycle.scope["method"] != "HEAD":
            content.append(answer.body)
        self.transport.write(b"".join(content))
        cycle.response_started = cycle.response_complete = True
        if not cycle.keep_alive:
            self.transport.close()
        self.on_response_complete()
