"""Not a way of serving: a WSGI server reads each request on a thread, and the limits of the wire cannot hold there (D60).

A Django project that mounts post3 may have a `wsgi.py` of its own (`docs/django.md` says what is then not bounded).
"""

from post3.declaring import Problem
from post3.server.startup import stop

stop(
    [
        Problem(
            "post3.E070",
            "post3 is not served by WSGI: a few silent or slow clients would stop it.",
            "Use `gunicorn -c python:post3_site.gunicorn -k post3_site.worker.Worker post3_site.asgi:application`.",
        )
    ]
)
