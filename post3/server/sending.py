"""Send a response over ASGI: whole, in pieces that are read ahead of the client, or as an iterator yields it."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from ..api.exchange import Exchange
from ..storage.base import PIECE, Pieces
from ..threads.pools import Threads
from .answers import Answer
from .bodies import gone, is_disconnected, send_while_open

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

#: Pieces read ahead of the one being sent, if the client accepts each within `KEEPS_UP` seconds and has accepted
#: `PROOF` bytes. The system's buffers accept the first bytes immediately, however slow the client is.
READ_AHEAD, KEEPS_UP, PROOF = 2, 0.05, 4 * 1024 * 1024
#: The piece size for all other clients, except for the first piece: a thousand slow clients hold one piece each.
SMALL_PIECE = 256 * 1024


@dataclass(frozen=True, slots=True)
class Sender:
    """The connection that a response is sent on, and the threads on which its body is read and closed."""

    receive: Receive
    send: Send
    threads: Threads
    #: The threads that read pieces of storages outside the database.
    readers: Threads

    async def send_answer(self, answer: Answer) -> None:
        """Send a response, note in its exchange what was sent, and close it."""
        send, exchange = partial(send_while_open, self.send), answer.exchange
        try:
            await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
            if isinstance(answer.body, bytes):
                if exchange is not None:
                    exchange.not_sent()  # `as_django` has noted the opposite
                await send({"type": "http.response.body", "body": answer.body})
                if exchange is not None and not is_disconnected(self.receive):
                    exchange.sent_whole(len(answer.body))
            elif isinstance(answer.body, Pieces) and exchange is not None:
                await self._send_pieces(answer.body, exchange, send)
            else:
                await self._send_iterated(answer.body, send, is_s3=exchange is not None)
        finally:
            if not isinstance(answer.body, bytes):
                await self.threads.run(answer.close)

    async def _send_pieces(self, pieces: Pieces, exchange: Exchange, send: Send) -> None:
        loop, record = asyncio.get_running_loop(), exchange.record
        client_gone = loop.create_task(gone(self.receive))
        coming: deque[asyncio.Future[bytes]] = deque()
        sent, ahead = 0, 0
        try:
            while not client_gone.done():
                self._read_ahead(pieces, coming, ahead or 1, PIECE if ahead or not sent else SMALL_PIECE)
                if not coming:
                    await send({"type": "http.response.body"})
                    record.whole = True
                    break
                piece = await coming.popleft()
                self._read_ahead(pieces, coming, ahead, PIECE)
                began, sent = loop.time(), sent + len(piece)
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                del piece
                # The server accepts a piece immediately and waits only at the next send, so send an empty piece.
                await send({"type": "http.response.body", "body": b"", "more_body": True})
                if not client_gone.done():
                    record.sent = sent
                ahead = READ_AHEAD if loop.time() - began < KEEPS_UP and sent >= PROOF else 0
            else:  # the client has disconnected, perhaps because it has received everything
                record.whole = not coming and record.sent == sent and pieces.reserve(SMALL_PIECE) is None
        finally:
            client_gone.cancel()
            # Wait for pending reads before their source is closed. Their errors add nothing to the one being raised.
            await asyncio.gather(*coming, return_exceptions=True)

    def _read_ahead(self, pieces: Pieces, coming: deque[asyncio.Future[bytes]], count: int, most: int) -> None:
        while len(coming) < count and (read := pieces.reserve(most)) is not None:
            coming.append(self.threads.run_low_priority(read) if pieces.uses_connection else self.readers.run(read))

    async def _send_iterated(self, body: Iterator[bytes], send: Send, *, is_s3: bool) -> None:
        """Send the pieces of a Django response.

        Of a response from S3, which records what is sent, stop sending if the client disconnects. A project's own
        response may still be reading the request's body, and waiting for the disconnect would consume messages of the
        body.
        """
        loop = asyncio.get_running_loop()
        client_gone: asyncio.Future[None] = loop.create_task(gone(self.receive)) if is_s3 else loop.create_future()
        try:
            while not client_gone.done():
                piece = await self.threads.run(next, body, None)
                if piece is None:
                    await send({"type": "http.response.body"})
                    break
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                await send({"type": "http.response.body", "body": b"", "more_body": True})  # as in `_send_pieces`
        finally:
            client_gone.cancel()
