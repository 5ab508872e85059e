"""gunicorn's settings, good for an object store:

    gunicorn -c python:post3_site.gunicorn -k post3_site.worker.Worker post3_site.asgi:application
    gunicorn -c python:post3_site.gunicorn post3_site.wsgi

Everything here can be overridden on gunicorn's command line.
"""

import os
import tempfile
from typing import Any

from django.conf import settings as _settings

from post3 import shared as _shared
from post3.conf import conf as _conf
from post3.console_host import in_url as _in_url
from post3.counting import counts as _counts
from post3.origins import console_host as _console_host

from .checks import check_before_fork, stop_on_problems

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "post3_site.settings")
stop_on_problems()

_host, _port = _settings.POST3_ADDRESS
bind = [f"{_in_url(_host)}:{_port}"]
if (_console := _console_host()) is not None and (_listening := _console.listening_address(_host)) is not None:
    bind.append(f"{_in_url(_listening[0])}:{_listening[1]}")

# One process a core: each is bound by Python's lock.
workers = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
# More than one thread makes gunicorn's default worker a threaded one; the uvicorn worker has its own threads.
threads = _conf.THREADS + _conf.UPLOAD_THREADS

# Seconds a worker may be deaf before it is killed. Both kinds of worker report from their main loop, whatever their
# threads do, so an upload may take hours.
timeout = 60
# Seconds that running requests are given when the server stops.
graceful_timeout = 30
# Clients keep their connections and write on them after a pause; closing early makes them fail.
keepalive = 75

# S3's headers: 8 KiB together, one `x-amz-meta-*` or a presigned query may take nearly all of it.
limit_request_line = 8190
limit_request_fields = 1000
limit_request_field_size = 16384

# Names with an underscore (`x-amz-meta-my_key`) are dropped otherwise. "Dangerous" is that `my_key` and `my-key` become one:
# the signature covers the names as sent, so of a header that pretends to be another one, it tells.
header_map = "dangerous"
# With that, a client behind a trusted proxy could set WSGI's own path by these headers' names.
forwarder_headers = ""
# Nobody's forwarding headers count for gunicorn, or for uvicorn's middleware under its worker: POST3_TRUSTED_PROXIES decides
# (post3/proxies.py).
forwarded_allow_ips = ""
secure_scheme_headers: dict[str, str] = {}

errorlog = "-"
# A line for every request costs more than many a request; a proxy in front can write them.
accesslog = None
control_socket_disable = True

# Where the processes count together for /_/metrics, unless POST3_METRICS_DIR says so. The name is the same after a restart, so
# that what a killed server left is gone on with; two servers have two addresses.
_together = os.path.join(tempfile.gettempdir(), f"post3-metrics-{os.geteuid()}-{_host.replace(':', '.')}-{_port}")
_counts.share(_together)


def on_starting(server: Any) -> None:
    """Check all that a server checks once, for all processes."""
    check_before_fork()


def post_worker_init(worker: Any) -> None:
    """Have a process that nobody asked anything yet counted among them."""
    from post3 import dispatch  # noqa: F401  (declares what is counted; under WSGI nothing has imported it yet)

    _counts.join()


def on_exit(server: Any) -> None:
    """Remove the counts at the end, but not under the feet of a server that takes this one's place (gunicorn's USR2)."""
    _shared.remove(_together)
