"""The WSGI application of a project that mounts post3, for tests. The site itself is not served through WSGI."""

from post3_site.checks import start_django

start_django()

from post3.handlers import get_wsgi_application  # noqa: E402  (requires Django to be set up)

application = get_wsgi_application()
