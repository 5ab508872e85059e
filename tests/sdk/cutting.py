"""A proxy that interrupts the first long response: half a MiB is sent, then the connection closes."""

import contextlib
import socket
import threading
from types import TracebackType
from typing import Self

KEPT = 512 * 1024


class CuttingProxy:
    """Listens on its own port. `cut` counts interrupted responses. Setting it to 0 interrupts another one."""

    def __init__(self, host: str, port: int) -> None:
        self._target, self.cut = (host, port), 0
        self._place = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._place.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._place.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._place.accept()
                server = socket.create_connection(self._target)
                threading.Thread(target=_pass, args=(client, server), daemon=True).start()
                threading.Thread(target=self._answer, args=(server, client), daemon=True).start()

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        passed = 0
        with contextlib.suppress(OSError), server, client:
            while piece := server.recv(65536):
                client.sendall(piece)
                passed += len(piece)
                if passed > KEPT and not self.cut:
                    self.cut += 1
                    # The thread that reads from the client keeps the connection open. This ends it for both threads.
                    client.shutdown(socket.SHUT_RDWR)
                    return


def _pass(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
