"""The ASGI application: `uvicorn post3_site.asgi:application`.

It does not start under a server that cannot enforce post3's limits on connections and requests
(`post3/server/lifespan.py`).
"""

from .checks import start_django

start_django()

from post3.handlers import get_asgi_application  # noqa: E402  (needs Django set up)

application = get_asgi_application(requires_limits=True)
