"""Servers know sockets: ASGI and WSGI handlers, uvicorn's protocol within limits, bodies in both directions."""
