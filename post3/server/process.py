"""`python -m post3.server.process --fd 3 --fd 4 MODULE:ATTRIBUTE`: one server process, on sockets opened by its parent.

uvicorn's own command line listens on one address. `manage.py serve` listens on two, and must be sure that both are open
before it announces them.
"""

import argparse
import contextlib
import socket
import sys
from typing import Any

import uvicorn
from uvicorn.importer import import_from_string

from .startup import STARTUP_FAILURE

#: uvicorn's protocol with post3's limits.
PROTOCOL = "post3.server.fast_path:Protocol"
#: Seconds before an idle connection is closed. Clients reuse connections after a pause, and fail if it closes early.
KEEP_ALIVE = 75
#: Connections that may wait in a listening socket until the server accepts them.
BACKLOG = 2048


def make_server(application: Any, grace: int) -> uvicorn.Server:
    """Return a server for an ASGI application. `grace`: seconds that running requests have at shutdown."""
    config = uvicorn.Config(
        application,
        # Named explicitly, so that a missing package is an error instead of a silent fallback to a slow implementation.
        loop="uvloop",
        http=PROTOCOL,
        ws="none",
        access_log=False,
        server_header=False,
        log_level="warning",
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=grace,
    )
    return uvicorn.Server(config)


def main() -> None:
    parser = argparse.ArgumentParser(prog="post3.server.process", description="Serve an ASGI application on open sockets.")
    parser.add_argument("application", help="module:attribute of the ASGI application")
    parser.add_argument("--fd", type=int, action="append", required=True, help="a bound socket, inherited (again for another)")
    parser.add_argument("--grace", type=int, default=10, help="seconds that running requests get at shutdown")
    arguments = parser.parse_args()
    # Import before the event loop starts, because Django refuses database queries inside one.
    server = make_server(import_from_string(arguments.application), arguments.grace)
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[socket.socket(fileno=number) for number in arguments.fd])
    if not server.started:
        sys.exit(STARTUP_FAILURE)


if __name__ == "__main__":
    main()
