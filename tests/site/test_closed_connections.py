"""Sending to a client that has disconnected, before the server notices it."""

import asyncio
from typing import Any

import pytest

from post3.server.bodies import send_while_open


def test_what_is_sent_to_a_connection_that_uvloop_has_closed_is_dropped() -> None:
    """Otherwise, clients that abort downloads would sometimes leave a traceback in the log."""

    async def closed(message: dict[str, Any]) -> None:
        raise RuntimeError("unable to perform operation on <TCPTransport closed=True reading=False 0x0>; the handler is closed")

    asyncio.run(send_while_open(closed, {"type": "http.response.body"}))


def test_other_errors_of_sending_are_told() -> None:
    async def wrong(message: dict[str, Any]) -> None:
        raise RuntimeError("Response content longer than Content-Length")

    with pytest.raises(RuntimeError, match="longer"):
        asyncio.run(send_while_open(wrong, {"type": "http.response.body"}))
