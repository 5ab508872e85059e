"""`manage.py serve_for_tests`: a single-process server that runs until its standard input is closed.

The pytest plugin starts it. To start and stop quickly, it uses one process without a worker, a user without a password,
and a port chosen by the system.
"""

import json
import socket
import sys
import threading
from typing import Any

import uvicorn
from django.core.management import call_command
from django.core.management.base import BaseCommand

from ...access import keys
from ...conf import conf
from ...server.handlers import get_asgi_application
from ...server.process import BACKLOG, make_server
from ..base import authorise_command


class Command(BaseCommand):
    #: Used only by the pytest plugin, so `post3 help` does not list it.
    is_internal = True
    help = (
        "For tests: migrate, print the endpoint and a new API key as one line of JSON, and serve S3 on a free port of 127.0.0.1 "
        "until standard input is closed. Use a temporary database."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        authorise_command(self)
        call_command("migrate", interactive=False, verbosity=0)
        key, secret = keys.create_api_key(keys.find_user("tests", create=True), "tests")
        place = socket.socket()
        place.bind(("127.0.0.1", 0))
        place.listen(BACKLOG)
        values = {
            "endpoint": f"http://127.0.0.1:{place.getsockname()[1]}",
            "access_key": key.access_key,
            "secret_key": secret,
            "region": conf.REGION,
        }
        server = make_server(get_asgi_application(), grace=1)
        threading.Thread(target=_end_with_input, args=(server,), daemon=True).start()
        # Clients may connect now. They wait in the socket's queue until the server accepts them.
        self.stdout.write(json.dumps(values))
        self.stdout.flush()
        server.run(sockets=[place])


def _end_with_input(server: uvicorn.Server) -> None:
    sys.stdin.buffer.read()
    server.should_exit = True
