"""Thousands of slow clients in one process: `python -m tests.benchmarks.slow`, with instructions as JSON on stdin.

Each client downloads or uploads a piece now and then. epoll is not used, because a socket with a full buffer is always
ready and would keep a core busy. Instead, every connection gets a turn once per second. The state of the clients is
written to standard output once per second, as a line of JSON. All clients stop when standard input ends.
"""

import contextlib
import json
import resource
import select
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.servers import ROOT

#: Bytes per turn, and size of the kernel's receive buffer for a download.
PIECE, RECEIVE_BUFFER = 4096, 16 * 1024
#: Seconds between two turns of a connection, and seconds of the pauses in between.
PERIOD, NAP = 1.0, 0.01
#: File descriptors for all connections and everything else that a process opens.
DESCRIPTORS = 16_384


def raise_limit() -> None:
    """Allow this process and its children to open many sockets."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@dataclass(slots=True)
class Client:
    """One connection. `moved` is the number of body bytes received or passed to the kernel."""

    socket: socket.socket
    kind: str
    moved: int = 0
    problem: str = ""

    def turn(self) -> None:
        """Receive or send one piece, as far as possible without waiting."""
        if self.problem:
            return
        try:
            data = self._receive()
            if self.kind == "download":
                if not self.moved and data is not None and not data.startswith(b"HTTP/1.1 200"):
                    self.problem = f"answered {data[:200]!r}"
                self.moved += len(data or b"")
            else:
                if data is not None:
                    self.problem = f"answered {data[:200]!r}"
                else:
                    self.moved += self.socket.send(bytes(PIECE))
        except BlockingIOError:
            pass  # an upload whose bytes the server does not accept
        except OSError as error:
            self.problem = f"{error}"

    def _receive(self) -> bytes | None:
        """Return the available bytes, or None if there are none yet."""
        try:
            data = self.socket.recv(PIECE)
        except BlockingIOError:
            return None
        if not data:
            raise ConnectionError("closed by the server")
        return data


def connect(host: str, port: int, head: str, kind: str) -> Client:
    """Open a connection and send the head of its request."""
    client = socket.socket()
    client.settimeout(30)
    if kind == "download":
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)  # must precede connecting
    client.connect((host, port))
    client.sendall(head.encode())
    client.setblocking(False)
    return Client(client, kind)


def report(clients: list[Client]) -> dict[str, Any]:
    """Count clients by kind: connected, transferring, with problems, and all their bytes."""
    result: dict[str, Any] = {"cpu": time.process_time(), "problem": next((c.problem for c in clients if c.problem), "")}
    for kind in ("download", "upload"):
        those = [client for client in clients if client.kind == kind]
        result[kind] = {
            "connected": len(those),
            "under_way": sum(1 for client in those if client.moved and not client.problem),
            "in_trouble": sum(1 for client in those if client.problem),
            "bytes": sum(client.moved for client in those),
        }
    return result


def main() -> None:
    """Follow the instructions on standard input until it ends."""
    raise_limit()
    task = json.loads(sys.stdin.readline())
    clients: list[Client] = []
    try:
        for kind in ("download", "upload"):
            for head in task[kind]:
                clients.append(connect(task["host"], task["port"], head, kind))
        for delay in _turns(clients):
            if delay is None:
                print(json.dumps(report(clients)), flush=True)
            elif select.select([sys.stdin], [], [], delay)[0]:
                return
    finally:
        for client in clients:
            client.socket.close()


def _turns(clients: list[Client]) -> Iterator[float | None]:
    """Give every client its turn within a period. Yield the time to rest, and None after each period."""
    share = max(1, round(len(clients) * NAP / PERIOD))
    while True:
        start = time.monotonic()
        for place in range(0, len(clients), share):
            for client in clients[place : place + share]:
                client.turn()
            yield max(0.0, start + (place + share) / len(clients) * PERIOD - time.monotonic())
        yield None


class Crowd:
    """The process of the slow clients, controlled by the benchmark."""

    def __init__(self, host: str, port: int, downloads: list[bytes], uploads: list[bytes]) -> None:
        task = {
            "host": host,
            "port": port,
            "download": [head.decode() for head in downloads],
            "upload": [head.decode() for head in uploads],
        }
        self.latest: dict[str, Any] = {}
        command = [sys.executable, "-m", "tests.benchmarks.slow"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.latest = json.loads(line)

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        """Stop all clients."""
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join(5)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
