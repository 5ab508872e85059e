"""Startup of the ASGI application: installing post3's protocol in the server that runs it.

uvicorn chooses its protocol before it loads the application, and its default protocol has no limits on request heads,
responses and connections (`server/limits.py`). If operators had to select post3's protocol by an option, forgetting it
would go unnoticed until an attack. So the application installs the protocol when uvicorn announces its startup, before
uvicorn listens.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn
from django.utils.module_loading import import_string

logger = logging.getLogger("post3")

#: A dotted path, because the protocol imports the handlers, and the handlers import this module.
PROTOCOL = "post3.server.fast_path.Protocol"
UNBOUNDED = (
    "post3 does not start: this server does not enforce post3's limits on request heads, responses and connections. "
    "Use `gunicorn -c python:post3_site.gunicorn -k post3_site.worker.Worker post3_site.asgi:application`, "
    "or `uvicorn post3_site.asgi:application` without `--lifespan off`."
)
#: The Server header of responses (B125), unless the operator sets another one (`uvicorn --header`).
SERVER = b"post3"


def take_over(receive: Callable[[], Awaitable[dict[str, Any]]]) -> bool:
    """Install post3's protocol and headers in uvicorn, found through `receive`. Return False under any other server.

    uvicorn's own Date is updated once a second and may be earlier than the response's Last-Modified. After True, the
    application must write the Date itself.
    """
    config = getattr(getattr(receive, "__self__", None), "config", None)
    if not isinstance(config, uvicorn.Config):
        logger.warning("This server does not enforce post3's limits on request heads, responses and connections. Use uvicorn.")
        return False
    protocol = import_string(PROTOCOL)
    if not issubclass(config.http_protocol_class, protocol):
        config.http_protocol_class = protocol
    config.date_header = False
    config.encoded_headers = [header for header in config.encoded_headers if header != (b"server", b"uvicorn")]
    if b"server" not in dict(config.encoded_headers):
        config.encoded_headers.insert(0, (b"server", SERVER))
    return True
