"""Refuse to start under WSGI. A WSGI server reads each request on a thread and cannot enforce post3's limits (D60).

A Django project that installs post3 may still have a `wsgi.py` (`docs/django.md` lists the limits that then do not
apply).
"""

from post3.declaring import Problem
from post3.server.startup import stop

stop(
    [
        Problem(
            "post3.E071",
            "post3 does not run under WSGI: a few silent or slow clients would stop it.",
            "Use `gunicorn -c python:post3_site.gunicorn -k post3_site.worker.Worker post3_site.asgi:application`.",
        )
    ]
)
