"""The server side: ASGI and WSGI handlers, uvicorn's protocol with limits, request and response bodies."""
