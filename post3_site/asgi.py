"""The ASGI application: `uvicorn post3_site.asgi:application`."""

from .checks import start_django

start_django()

from post3.handlers import get_asgi_application  # noqa: E402  (needs Django set up)

application = get_asgi_application()
