"""The WSGI application of a project that mounts post3, for the tests: the site itself is not served by WSGI."""

from post3_site.checks import start_django

start_django()

from post3.handlers import get_wsgi_application  # noqa: E402  (needs Django set up)

application = get_wsgi_application()
