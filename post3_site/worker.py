"""A gunicorn worker that shares new connections evenly with the other processes.

    gunicorn -c python:post3_site.gunicorn -k post3_site.worker.Worker post3_site.asgi:application

An event loop that is told of new connections accepts until none is left. Clients of an object store open their
connections together and keep them, so the process that woke first had all of them, its neighbours none, and one core
worked: of eight connections to two processes, one held seven or eight in most runs. Here a process accepts one
connection a turn of its loop, and lets those with fewer go first (docs/performance.md has the figures).
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

#: Seconds that a process with more connections than another waits before it takes a new one.
COURTESY = 0.002
#: Seconds, of those that gunicorn gives running requests at the end, in which the cut ones clean up.
CUTTING = 3
#: Seconds without accepting, after the system refused a connection for want of memory or file descriptors.
PAUSE = 1.0

#: Connections of each worker process, by slot; anonymous memory made in gunicorn's master and shared by all it forks.
_counts = memoryview(mmap.mmap(-1, mmap.PAGESIZE)).cast("I")
NOBODY = 2**32 - 1
for _slot in range(len(_counts)):
    _counts[_slot] = NOBODY


class Listener:
    """Accepts connections from a listening socket, one a turn of the event loop; closes like an `asyncio.Server`."""

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
        """Return at once: the server itself waits for its connections."""

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
        """Accept what the others left."""
        if not self._closed:
            self._listen()
            self._accept()

    def _accept(self) -> None:
        try:
            accepted, _ = self._listening.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another process was faster, or the client has gone
        except OSError as error:
            logger.error("No connection can be accepted now: %s", error)
            self._loop.remove_reader(self._listening)
            self._loop.call_later(PAUSE, self._listen)
            return
        accepted.setblocking(False)
        self._server.publish_count(1)
        connecting = self._loop.connect_accepted_socket(self._server.protocol, accepted, ssl=self._server.config.ssl)
        task = self._loop.create_task(connecting)
        self._connecting.add(task)  # the loop itself holds tasks weakly
        task.add_done_callback(self._connected)

    def _connected(self, task: asyncio.Task[Any]) -> None:
        self._connecting.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.info("A connection failed before its first request: %s", error)


class FairServer(Server):
    """uvicorn's server on `Listener`s."""

    def __init__(self, config: Any, slot: int) -> None:
        super().__init__(config)
        self._slot = slot

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=[])
        self.publish_count()
        self.servers = [Listener(self, listening) for listening in sockets or []]

    async def on_tick(self, counter: int) -> bool:
        self.publish_count()
        return await super().on_tick(counter)

    def protocol(self) -> asyncio.Protocol:
        """Make the protocol of one connection."""
        config = self.config
        return config.http_protocol_class(config=config, server_state=self.server_state, app_state=self.lifespan.state)

    def publish_count(self, coming: int = 0) -> None:
        """Tell the other processes how many connections this one has."""
        _counts[self._slot] = len(self.server_state.connections) + coming

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        _counts[self._slot] = NOBODY  # or the others would stand back for a process that takes no more connections
        ending = asyncio.get_running_loop().create_task(self._keep_ending())
        try:
            await super().shutdown(sockets)
        finally:
            ending.cancel()

    async def _keep_ending(self) -> None:
        """Tell connections again to end after their request: some were accepted in the last moment, and nobody told them."""
        while True:
            await asyncio.sleep(0.2)
            for connection in list(self.server_state.connections):
                connection.shutdown()

    def has_more_than_others(self) -> bool:
        """Whether another process has fewer connections."""
        return min(_counts) < len(self.server_state.connections)


class Worker(UvicornWorker):
    """uvicorn's worker on a `FairServer`, with post3's own limits of the wire."""

    # By name: falling back to the slow ones shall be an error, not a surprise.
    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {"loop": "uvloop", "http": Protocol, "ws": "none"}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # This still runs in the master, which drops the object when the process has ended.
        self._slot = list(_counts).index(NOBODY)
        _counts[self._slot] = 0
        # What runs longer is cut by ourselves, before gunicorn kills the process: a cut upload removes what it has written.
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
