"""The entry points of a Django project that serves post3 itself: for its `asgi.py` and its `wsgi.py` (docs/django.md)."""

from .server.handlers import get_asgi_application, get_wsgi_application

__all__ = ["get_asgi_application", "get_wsgi_application"]
