"""gunicorn's settings for `tests/wsgi.py`: those in `docs/django.md`, with counters shared between processes."""

from typing import Any

from post3_site.checks import check_before_fork
from post3_site.gunicorn import *  # noqa: F403

worker_class = "gthread"
threads = 20
limit_request_line = 8190
limit_request_fields = 1000
limit_request_field_size = 16384
header_map = "dangerous"
forwarder_headers = ""


def on_starting(server: Any) -> None:
    """Run the site's checks, except the one of the worker class."""
    check_before_fork()
