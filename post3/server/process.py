"""`python -m post3.server.process --fd 3 --fd 4 MODULE:ATTRIBUTE`: one server process, on sockets that its parent opened.

uvicorn's own command line listens on one address; `manage.py serve` listens on two, and must know that it can before it says so.
"""

import argparse
import contextlib
import socket
import sys
from typing import Any

import uvicorn
from uvicorn.importer import import_from_string

#: uvicorn's protocol with post3's limits.
PROTOCOL = "post3.server.fast_path:Protocol"
#: Clients keep their connections and write on them after a pause; closing early makes them fail.
KEEP_ALIVE = 75
#: Connections that wait in a listening socket for the server to take them.
BACKLOG = 2048
#: What uvicorn and gunicorn both take for "do not try again".
STARTUP_FAILURE = 3


def make_server(application: Any, grace: int) -> uvicorn.Server:
    """Return a server of an ASGI application; `grace`: seconds for running requests at the end."""
    config = uvicorn.Config(
        application,
        # By name: falling back to the slow ones must be an error, not a surprise.
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
    parser.add_argument("--grace", type=int, default=10, help="seconds that running requests are given at the end")
    arguments = parser.parse_args()
    # Before there is an event loop, in which Django would refuse to ask the database.
    server = make_server(import_from_string(arguments.application), arguments.grace)
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[socket.socket(fileno=number) for number in arguments.fd])
    if not server.started:
        sys.exit(STARTUP_FAILURE)


if __name__ == "__main__":
    main()
