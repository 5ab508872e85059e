"""A gunicorn worker that shares new connections evenly with the other processes.

    gunicorn -c python:post3_site.gunicorn -k post3_site.worker.Worker post3_site.asgi:application

An event loop normally accepts new connections until none is left. Clients of an object store open their connections
together and keep them, so the process that woke first got all of them and only one core worked: of eight connections to
two processes, one process held seven or eight in most runs. This worker accepts one connection per iteration of its
event loop, and lets processes with fewer connections go first (see docs/performance.md for measurements).
"""

import asyncio
import logging
import mmap
import os
import socket
import sys
import weakref
from typing import Any, ClassVar

from gunicorn.arbiter import Arbiter
from uvicorn.server import Server
from uvicorn_worker import UvicornWorker

from post3.server.fast_path import Protocol

logger = logging.getLogger("uvicorn.error")

#: Seconds that a process with more connections than another waits before it accepts a new one.
COURTESY = 0.002
#: Seconds of gunicorn's graceful timeout that are reserved for interrupted requests to clean up.
CUTTING = 3
#: Seconds to stop accepting after the system ran out of memory or file descriptors.
PAUSE = 1.0

#: Number of connections of each worker process, by slot, in memory that gunicorn's master shares with its children.
_counts = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("I")
NOBODY = 2**32 - 1
for _slot in range(len(_counts)):
    _counts[_slot] = NOBODY


class Listener:
    """Accepts one connection per iteration of the event loop from a listening socket. Closes like `asyncio.Server`."""

    def __init__(self, server: "FairServer", listening: socket.socket) -> None:
        self._server, self._listening = server, listening
        self._loop = asyncio.get_running_loop()
        self._connecting: set[asyncio.Task[Any]] = set()
        self._closed = False
        listening.setblocking(False)
        self._listen()

    def close(self) -> None:
        self._closed = True
        self._loop.remove_reader(self._listening)

    async def wait_closed(self) -> None:
        """Return immediately, because the server itself waits for its connections."""

    def _listen(self) -> None:
        if not self._closed:
            self._loop.add_reader(self._listening, self._offered)

    def _offered(self) -> None:
        if self._server.has_more_than_others():
            self._loop.remove_reader(self._listening)
            self._loop.call_later(COURTESY, self._take)
        else:
            self._accept()

    def _take(self) -> None:
        """Accept a connection if the other processes left one."""
        if not self._closed:
            self._listen()
            self._accept()

    def _accept(self) -> None:
        try:
            accepted, _ = self._listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another process was faster, or the client disconnected
        except OSError as error:
            logger.error("No connection can be accepted now: %s", error)
            self._loop.remove_reader(self._listening)
            self._loop.call_later(PAUSE, self._listen)
            return
        accepted.setblocking(False)
        self._server.publish_count(1)
        connecting = self._loop.connect_accepted_socket(self._server.protocol, accepted, ssl=self._server.config.ssl)
        task = self._loop.create_task(connecting)
        self._connecting.add(task)  # the loop only keeps weak references to tasks
        task.add_done_callback(self._connected)

    def _connected(self, task: asyncio.Task[Any]) -> None:
        self._connecting.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.info("A connection failed before its first request: %s", error)


class FairServer(Server):
    """uvicorn's server, accepting connections with `Listener`."""

    def __init__(self, config: Any, slot: int) -> None:
        super().__init__(config)
        self._slot = slot

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=[])
        self.publish_count()
        listeners: list[Any] = [Listener(self, listening) for listening in sockets or []]
        self.servers = listeners  # uvicorn only closes them

    async def on_tick(self, counter: int) -> bool:
        self.publish_count()
        return await super().on_tick(counter)

    def protocol(self) -> asyncio.Protocol:
        """Create the protocol for one connection."""
        make: Any = self.config.http_protocol_class  # declared as a class without parameters
        protocol: asyncio.Protocol = make(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)
        return protocol

    def publish_count(self, coming: int = 0) -> None:
        """Publish the number of this process's connections to the other processes."""
        _counts[self._slot] = len(self.server_state.connections) + coming

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        _counts[self._slot] = NOBODY  # otherwise the others would wait for a process that accepts no more connections
        ending = asyncio.get_running_loop().create_task(self._keep_ending())
        try:
            await super().shutdown(sockets)
        finally:
            ending.cancel()

    async def _keep_ending(self) -> None:
        """Shut connections down repeatedly, to include those that were accepted at the last moment."""
        while True:
            await asyncio.sleep(0.2)
            for connection in list(self.server_state.connections):
                connection.shutdown()

    def has_more_than_others(self) -> bool:
        """Return whether another process has fewer connections."""
        return min(_counts) < len(self.server_state.connections)


class Worker(UvicornWorker):
    """uvicorn's worker with a `FairServer` and post3's limits on connections and requests."""

    # Named explicitly, so that a missing package is an error instead of a silent fallback to slower implementations.
    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {"loop": "uvloop", "http": Protocol, "ws": "none"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # This still runs in the master, which drops the object when the worker process has exited.
        self._slot = list(_counts).index(NOBODY)
        _counts[self._slot] = 0
        # Requests that run longer are cancelled before gunicorn kills the process, so that uploads can remove their
        # data.
        self.config.timeout_graceful_shutdown = max(1, self.cfg.graceful_timeout - CUTTING)
        weakref.finalize(self, _release, self._slot, os.getpid()).atexit = False

    async def _serve(self) -> None:
        self.config.app = self.wsgi
        server = FairServer(self.config, self._slot)
        self._install_sigquit_handler()
        await server.serve(sockets=self.sockets)
        if not server.started:
            sys.exit(Arbiter.WORKER_BOOT_ERROR)


def _release(slot: int, master: int) -> None:
    if os.getpid() == master:
        _counts[slot] = NOBODY
