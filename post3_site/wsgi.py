"""The WSGI application: `gunicorn -c python:post3_site.gunicorn post3_site.wsgi`."""

from .checks import start_django

start_django()

from post3.handlers import get_wsgi_application  # noqa: E402  (needs Django set up)

application = get_wsgi_application()
