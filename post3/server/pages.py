"""Everything served beside S3: the console, probes, and a project's own pages. None of these may block S3.

- The console's requests run on separate threads (POST3_CONSOLE_THREADS), because checking a password takes half a
  second of CPU. A limited number of requests may wait for a thread. Any others are refused immediately.
- Health and metrics have two more threads, so that they respond while users log in.
- Bodies for the console are read before a thread is taken, up to POST3_MAX_FORM_SIZE. The user has not been
  authenticated yet, so none of the body may reach the disk. An interrupted form never reaches a view.
- A project's own pages share the console's threads. Their bodies are not limited here: large ones are streamed to the
  upload threads, as Django's upload handlers expect.
"""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from http import HTTPStatus
from typing import Any

from django.http import HttpResponse
from django.urls import Resolver404, resolve

from ..conf import conf
from ..threads.pools import Threads
from ..web import origins
from ..web.mount import Mount
from .bodies import MemoryBody, Patience

Receive = Callable[[], Awaitable[dict[str, Any]]]

#: Threads for health and metrics.
PROBE_THREADS = 2
#: Requests that may wait for a console thread, or for a probe thread.
QUEUE = 32
#: Maximum total bytes of incomplete forms that a process holds.
MAX_HELD = 32 * 1024 * 1024
#: Seconds that a client is asked to wait when too many requests are waiting.
RETRY_AFTER = 2
#: Under WSGI, how many requests may wait for each of POST3_CONSOLE_THREADS, and for how many seconds. A waiting request
#: holds a thread that S3 could use.
WAITING_PER_PLACE, PLACE_TIMEOUT = 2, 10.0


class Role(Enum):
    """The purpose of a request that may not be for S3."""

    S3 = "S3, but only the URL resolver could recognize it"
    PROBE = "health and metrics"
    CONSOLE = "the console, its files, and names below it that do not exist"
    PROJECT = "a page of the project that post3 is an app of"


def role_of(path: str, mount: Mount | None) -> Role:
    """Return the role of a path. A path that is neither the console's nor below `post3.urls` belongs to the project."""
    try:
        match = resolve(path)
    except Resolver404:
        match = None
    if getattr(match and match.func, "is_s3_catch_all", False):
        return Role.S3
    if getattr(match and match.func, "goes_around_middleware", False):
        return Role.PROBE
    if match is not None and origins.CONSOLE_NAMESPACE in match.namespaces:
        return Role.CONSOLE
    if mount is not None and (not path.startswith(mount.prefix) or path.startswith(mount.others[1:])):
        return Role.PROJECT
    return Role.CONSOLE


def role_on_console(path: str) -> Role:
    """Return the role of a path on the console's own origin."""
    try:
        view = resolve(path, origins.CONSOLE_URLCONF).func
    except Resolver404:
        view = None
    return Role.PROBE if getattr(view, "goes_around_middleware", False) else Role.CONSOLE


class Refused(Exception):
    """The request is refused with this status and message, without calling a view."""

    def __init__(self, status: int, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.headers = status, message, headers or {}

    def response(self) -> HttpResponse:
        return HttpResponse(f"{self.message}\n", content_type="text/plain", status=self.status, headers=self.headers)


def too_large() -> Refused:
    return Refused(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"A form may have up to {conf.MAX_FORM_SIZE} bytes (POST3_MAX_FORM_SIZE)."
    )


def too_busy() -> Refused:
    return Refused(HTTPStatus.SERVICE_UNAVAILABLE, "Too many requests are waiting. Try again.", {"Retry-After": str(RETRY_AFTER)})


class Pages:
    """A server process's threads for everything but S3, and the forms read for them. Use only in the event loop."""

    def __init__(self) -> None:
        self.threads = Threads(conf.CONSOLE_THREADS, "post3-console")
        self.probe_threads = Threads(PROBE_THREADS, "post3-probe")
        self._held = 0

    def admit(self, threads: Threads) -> None:
        """Raise Refused if too many requests are waiting for these threads."""
        if not threads.has_room(QUEUE):
            raise too_busy()

    async def read_form(self, receive: Receive, length: int | None, expects_continue: bool) -> MemoryBody:
        """Return a complete body. `length` is None if the body is chunked. Raises Refused."""
        if length is not None and length > conf.MAX_FORM_SIZE:
            raise too_large()
        if length == 0 and not expects_continue:
            return MemoryBody(b"", True)
        pieces: list[bytes] = []
        try:
            await self._read_pieces(receive, pieces)
        finally:
            self._held -= sum(map(len, pieces))
        data = b"".join(pieces)
        if length not in (None, len(data)):
            raise cut_off()
        return MemoryBody(data, True)

    async def _read_pieces(self, receive: Receive, pieces: list[bytes]) -> None:
        received, patience, more = 0, Patience(), True
        while more:
            began = time.monotonic()
            try:
                async with asyncio.timeout(patience.left):
                    message = await receive()
            except TimeoutError:
                raise too_slow() from None
            if message["type"] == "http.disconnect":
                raise cut_off()
            more = message.get("more_body", False)
            pieces.append(message.get("body", b""))
            received += len(pieces[-1])
            self._held += len(pieces[-1])
            if received > conf.MAX_FORM_SIZE:
                raise too_large()
            if more and self._held > MAX_HELD:
                raise too_busy()
            if more and not patience.spend(time.monotonic() - began, received):
                raise too_slow()


def cut_off() -> Refused:
    return Refused(HTTPStatus.BAD_REQUEST, "The body ended before its announced length.")


def too_slow() -> Refused:
    return Refused(HTTPStatus.REQUEST_TIMEOUT, "The body arrived too slowly (POST3_BODY_TIMEOUT).", {"Connection": "close"})


class Places:
    """The limit on threads that the console may use under WSGI, where all requests share the server's threads."""

    def __init__(self) -> None:
        self._free = threading.BoundedSemaphore(conf.CONSOLE_THREADS)
        self._waiting = threading.BoundedSemaphore(conf.CONSOLE_THREADS * WAITING_PER_PLACE)

    @contextmanager
    def take(self) -> Iterator[None]:
        """Hold a place. Raises Refused if none becomes free in time, or if too many requests are waiting."""
        if not self._free.acquire(blocking=False):
            if not self._waiting.acquire(blocking=False):
                raise too_busy()
            try:
                if not self._free.acquire(timeout=PLACE_TIMEOUT):
                    raise too_busy()
            finally:
                self._waiting.release()
        try:
            yield
        finally:
            self._free.release()
