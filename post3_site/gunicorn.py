"""gunicorn settings suited to an object store:

    gunicorn -c python:post3_site.gunicorn -k post3_site.worker.Worker post3_site.asgi:application

gunicorn's command line can override everything here except the worker class (D60).
"""

import logging
import os
import socket
import tempfile
from typing import Any

from django.conf import settings as _settings

from post3.console_host import in_url as _in_url
from post3.declaring import Problem
from post3.server.startup import stop
from post3.telemetry import shared_memory as _shared
from post3.telemetry.counters import counts as _counts
from post3.web.origins import console_host as _console_host

from .checks import check_before_fork, stop_on_problems

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "post3_site.settings")
stop_on_problems()
_logger = logging.getLogger(__name__)


def _is_free(address: tuple[str, int]) -> bool:
    """Return whether a server could listen on the address now."""
    try:
        socket.create_server(address, family=socket.AF_INET6 if ":" in address[0] else socket.AF_INET).close()
    except OSError:
        return False
    return True


_host, _port = _settings.POST3_ADDRESS
bind = [f"{_in_url(_host)}:{_port}"]
if (_console := _console_host()) is not None and (_listening := _console.listening_address(_host)) is not None:
    if _settings.POST3_CONSOLE_HOST_CHOSEN or _is_free(_listening):
        bind.append(f"{_in_url(_listening[0])}:{_listening[1]}")
    else:
        _logger.warning("The port %s is in use, so the console is not served here (POST3_CONSOLE_HOST).", _listening[1])
        _settings.POST3_CONSOLE_HOST = ""
        _console_host.cache_clear()

# One process per core, because each is limited by the GIL.
workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
worker_class = "post3_site.worker.Worker"

# Seconds without a report from a worker before it is killed. A worker reports from its event loop, whatever its threads
# do, so an upload may take hours.
timeout = 60
# Seconds that running requests have to finish when the server stops.
graceful_timeout = 30
# Clients keep connections open and reuse them after a pause. Closing them early makes the next request fail.
keepalive = 75

# Neither gunicorn nor uvicorn's middleware in its worker trusts any forwarding headers. POST3_TRUSTED_PROXIES decides
# which to trust (post3/web/proxies.py).
forwarded_allow_ips = ""
secure_scheme_headers: dict[str, str] = {}

errorlog = "-"
# Logging a request can cost more than the request itself. A proxy in front can write an access log.
accesslog = None
control_socket_disable = True

# The directory where the processes share their counts for /_/metrics, unless POST3_METRICS_DIR is set. The name stays
# the same after a restart, so that the counts of a killed server are resumed. Two servers have different addresses.
_together = os.path.join(tempfile.gettempdir(), f"post3-metrics-{os.geteuid()}-{_host.replace(':', '.')}-{_port}")
_counts.share(_together)


def on_starting(server: Any) -> None:
    """Run a server's startup checks once for all processes.

    Other worker classes are refused. gunicorn's own workers wait for each client on a thread, so that a few silent
    clients stop them.
    """
    from .worker import Worker

    if not issubclass(server.cfg.worker_class, Worker):
        refused = (
            f"The worker class {server.cfg.worker_class_str} enforces none of post3's limits on headers, bodies and connections."
        )
        stop([Problem("post3.E070", refused, "Use `-k post3_site.worker.Worker` with `post3_site.asgi:application`.")])
    if server.app.app_uri.partition(":")[0] == "post3_site.wsgi":
        # Refused here, not by the workers: if two fail at the same time, gunicorn 27 exits with a traceback and
        # status 1.
        from . import wsgi  # noqa: F401
    check_before_fork()


def post_worker_init(worker: Any) -> None:
    """Include this process in the metrics before its first request."""
    from post3.api import dispatch  # noqa: F401  (declares the metrics; under WSGI nothing has imported it yet)

    _counts.join()


def on_exit(server: Any) -> None:
    """Remove the counts, unless a server that replaces this one (gunicorn's USR2) is using them."""
    _shared.remove(_together)
