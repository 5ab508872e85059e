"""`manage.py serve_for_tests`: a server of one process that lives as long as its standard input; the pytest plugin starts it.

It is made to start and to end quickly: one process without a worker, a user without a password, a port that the system chooses.
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
    #: Not listed by `post3 help`: the pytest plugin's alone.
    is_internal = True
    help = (
        "For tests: migrate, print the endpoint and a new API key as one line of JSON, and serve S3 on a free port of 127.0.0.1 "
        "until standard input ends. Use a database that is made for it and thrown away."
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
        # Clients may connect from now on: they wait in the socket's queue until the server takes them.
        self.stdout.write(json.dumps(values))
        self.stdout.flush()
        server.run(sockets=[place])


def _end_with_input(server: uvicorn.Server) -> None:
    sys.stdin.buffer.read()
    server.should_exit = True
