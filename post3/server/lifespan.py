"""What the ASGI application does, at its start, to the server that it runs under.

uvicorn chooses its protocol before it looks at the application, and its own one has no limits of heads, answers and connections
(`server/limits.py`). An operator would have to know an option; forgetting it would show only under attack. So the application
gives uvicorn post3's protocol when uvicorn announces its start, which is before it listens.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn
from django.utils.module_loading import import_string

logger = logging.getLogger("post3")

#: By name, because it needs the handlers, and those need this.
PROTOCOL = "post3.server.fast_path.Protocol"
UNBOUNDED = (
    "post3 does not start: this server keeps none of post3's limits of heads, answers and connections. "
    "Use `gunicorn -c python:post3_site.gunicorn -k post3_site.worker.Worker post3_site.asgi:application`, "
    "or `uvicorn post3_site.asgi:application` without `--lifespan off`."
)
#: What answers say they come from (B125), unless the operator names something else (`uvicorn --header`).
SERVER = b"post3"


def take_over(receive: Callable[[], Awaitable[dict[str, Any]]]) -> bool:
    """Give uvicorn, told by `receive` of its lifespan, post3's protocol and headers; return False where it is another server.

    uvicorn's own Date is that of the last second's tick, and may be earlier than the answer's Last-Modified; with True the
    application writes it.
    """
    config = getattr(getattr(receive, "__self__", None), "config", None)
    if not isinstance(config, uvicorn.Config):
        logger.warning("This server keeps none of post3's limits of heads, answers and connections; uvicorn does.")
        return False
    protocol = import_string(PROTOCOL)
    if not issubclass(config.http_protocol_class, protocol):
        config.http_protocol_class = protocol
    config.date_header = False
    config.encoded_headers = [header for header in config.encoded_headers if header != (b"server", b"uvicorn")]
    if b"server" not in dict(config.encoded_headers):
        config.encoded_headers.insert(0, (b"server", SERVER))
    return True
