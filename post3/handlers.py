"""Entry points for the `asgi.py` and `wsgi.py` of a Django project that serves post3 (docs/django.md)."""

from .server.handlers import get_asgi_application, get_wsgi_application

__all__ = ["get_asgi_application", "get_wsgi_application"]
