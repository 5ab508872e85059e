"""One S3 request, from its head to the end of its response. Every way of serving drives the same `Exchange`.

A way of serving creates an exchange when it has the head of a request, and gives it the body. `dispatch.answer` fills
its record and returns the response. Then the way of serving notes what it sent, and finishes the exchange:

- `server/fast_path.py` creates one for a request in memory, and finishes it after writing the response;
- `server/handlers.py` (ASGI) uses it as a context manager around the whole request;
- `dispatch.dispatch` (Django's handlers for ASGI and WSGI, and a page of ours that only the resolver can find to be S3)
  finishes it when Django closes the response.
"""

import asyncio
from collections.abc import Iterator
from types import TracebackType
from typing import Any, Self

from ..s3.body import Body, WsgiBody
from ..storage.base import StorageError
from ..telemetry import requests

#: Bytes of an unread body that are read and dropped before an error is sent under WSGI, and seconds in which: servers
#: close the connection, and a client still sending would see a reset instead of the response. A thread is occupied
#: meanwhile.
DRAIN_SIZE, DRAIN_SECONDS = 1 << 20, 2.0


class Exchange:
    """A request that is being handled: its body, and the record for metrics and the request log, written once."""

    __slots__ = ("_is_finished", "body", "record")

    def __init__(self, source: dict[str, Any], body: Body | None = None) -> None:
        """Start the record. `source`: the ASGI scope or the WSGI environment."""
        self.record = requests.begin(source)
        #: None while a body that is read before the request is handled is still arriving.
        self.body = body
        self._is_finished = False

    def drain_body(self) -> None:
        """Read and drop some of an unread body before an error is sent. Needed only under WSGI."""
        if isinstance(self.body, WsgiBody):
            self.body.drain(DRAIN_SIZE, DRAIN_SECONDS)

    def sent_whole(self, size: int) -> None:
        """Note that a response was sent completely, with that many bytes of a body."""
        self.record.sent, self.record.whole = size, True

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
        """Finish, and log an error that interrupted the response. Two errors are not passed on.

        The database or disk failed during the response (StorageError), or the server's grace period for stopping is over
        (CancelledError). The server closes the connection of an unfinished response.
        """
        if isinstance(error, Exception | asyncio.CancelledError):
            requests.log_broken_off(self.record, error)
        self.finish()
        return isinstance(error, StorageError | asyncio.CancelledError)

    def __del__(self) -> None:
        """Finish an exchange whose response was dropped: not sent, and not closed.

        Django's ASGI handler does so if the client disconnects before the response, and middleware if it replaces one.
        """
        if not self._is_finished:
            self.record.sent, self.record.whole = 0, False
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
