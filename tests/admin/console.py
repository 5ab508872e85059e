"""Django's test client at the console's own origin."""

from typing import Any

from django.http import HttpRequest
from django.test import Client

from post3.web.origins import console_host


class ConsoleClient(Client):
    """Sends requests to the console's port, as a browser there does. Django's own client always names port 80."""

    def __init__(self, **defaults: Any) -> None:
        super().__init__(SERVER_NAME="localhost", **defaults)

    def generic(self, *arguments: Any, **extra: Any) -> HttpRequest:
        console = console_host()
        assert console is not None
        return super().generic(*arguments, **{"SERVER_PORT": str(console.port), **extra})
