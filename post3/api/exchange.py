"""One S3 request, from its head to the end of its response. Every way of serving drives the same `Exchange`.

A way of serving creates an exchange when it has the head of a request, and gives it the body. `dispatch.answer` fills
its record and returns the response. Then the way of serving notes what it sent, and finishes the exchange:

- `server/fast_path.py` creates one for a request that is in memory, and finishes it after writing the response.
- `server/handlers.py` (ASGI) uses it as a context manager around the whole request.
- `dispatch.dispatch` finishes it when Django closes the response. It serves Django's handlers for ASGI and WSGI, and
  requests that only the URL resolver can identify as S3. Of the latter, `server/handlers.py` finishes an exchange whose
  response is whole, because it closes such a response before sending it.
"""

import asyncio
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from ..s3.body import Body, WsgiBody
from ..storage.base import StorageError
from ..telemetry import requests

#: How much of an unread body is read and dropped before an error is sent under WSGI: at most this many bytes, for at
#: most this many seconds. Servers close the connection after the response, and a client that is still sending would see
#: a reset instead of the response. The limits are low because a thread is occupied meanwhile.
DRAIN_SIZE, DRAIN_SECONDS = 1 << 20, 2.0


class Exchange:
    """A request that is being handled: its body, and the record for metrics and the request log, written once."""

    __slots__ = ("_is_finished", "body", "record")

    def __init__(self, source: dict[str, Any], body: Body | None = None) -> None:
        """Start the record. `source`: the ASGI scope or the WSGI environment."""
        self.record = requests.begin(source)
        #: None while a body is still arriving that must be complete before the request is handled.
        self.body = body
        self._is_finished = False

    def drain_body(self) -> None:
        """Read and drop some of an unread body before an error is sent. Needed only under WSGI."""
        if isinstance(self.body, WsgiBody):
            self.body.drain(DRAIN_SIZE, DRAIN_SECONDS)

    def sent_whole(self, size: int) -> None:
        """Note that a response was sent completely, with that many bytes of a body."""
        self.record.sent, self.record.whole = size, True

    def not_sent(self) -> None:
        """Note that nothing of a response was sent."""
        self.record.sent, self.record.whole = 0, False

    def finish(self) -> None:
        """Record the outcome. Further calls do nothing."""
        if self._is_finished:
            return
        self._is_finished = True
        if self.body is not None:
            self.record.received = self.body.received
        requests.finish(self.record)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        """Finish, and log an error that interrupted the response. Suppress StorageError and CancelledError.

        StorageError means that the database or disk failed during the response, CancelledError that the grace period of
        a stopping server is over. The server closes the connection of an unfinished response.
        """
        if isinstance(error, Exception | asyncio.CancelledError):
            requests.log_broken_off(self.record, error)
        self.finish()
        return isinstance(error, StorageError | asyncio.CancelledError)

    def __del__(self) -> None:
        """Finish an exchange whose response was dropped: neither sent nor closed.

        Django's ASGI handler drops the response if the client disconnects before it, and middleware may replace it.
        """
        if not self._is_finished:
            self.not_sent()
            self.finish()


class SentPieces(Iterator[bytes]):
    """The pieces of a response sent by Django's own handlers, which do not report what they sent.

    A request for the next piece means that the previous piece was sent.
    """

    def __init__(self, pieces: Iterator[bytes], exchange: Exchange) -> None:
        self._pieces, self._exchange, self._out = pieces, exchange, 0

    def __next__(self) -> bytes:
        record = self._exchange.record
        record.sent += self._out
        self._out = 0
        try:
            piece = next(self._pieces)
        except StopIteration:
            record.whole = True
            raise
        except Exception as error:
            requests.log_broken_off(record, error)
            self._exchange.finish()  # now, because Django's ASGI handler does not close the response
            raise
        self._out = len(piece)
        return piece

    def close(self) -> None:
        """Close the source of the pieces."""
        close = getattr(self._pieces, "close", None)
        if close is not None:
            close()
