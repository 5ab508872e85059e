"""uvicorn's protocol with pipelined requests handled one at a time, and support for half-closed connections.

uvicorn parses all the requests in a read immediately, however many there are. It closes a connection as soon as the
client ends its sending direction, even if a response is still due. Here:
 - Bytes that follow a complete request wait unparsed until its response is sent, and nothing more is read until then. A
   client that pipelines many requests is slowed down, none is refused, and a connection holds at most one socket read.
 - A client that sends complete requests and then ends its direction gets all responses (RFC 9112, 9.6). If it ends its
   direction within a request, the request is interrupted.
"""

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.utils import is_ssl

#: The bytes that end a head, and a chunked body.
END = b"\r\n\r\n"
#: The headers that matter to the protocol itself.
NOTED = frozenset((b"content-length", b"transfer-encoding", b"expect"))


class Chunks:
    """The framing of a chunked body, read only to find its end. It skips from chunk to chunk without reading the data.

    It refuses nothing: invalid framing is passed on in full, and the parser raises. If the parser reads the framing
    differently, or if the end itself is split between two reads, the parser gets one extra request, which uvicorn
    queues. uvicorn then stops reading, and the application lets it read twice at most before it responds: no client can
    fill the queue.
    """

    def __init__(self) -> None:
        #: Bytes missing from a chunk and the line break after it; the incomplete line that gives a chunk's size.
        self._left, self._line = 0, b""
        #: Whether only trailers are missing.
        self._last = False

    def end_in(self, data: bytes, start: int) -> int:
        """Return the position in `data` where the body ends, or the length of `data` if the body continues."""
        position, size = start, len(data)
        while not self._last:
            passed = min(self._left, size - position)
            self._left -= passed
            position += passed
            if position == size:
                return size
            end = data.find(b"\n", position)
            if end < 0:
                self._line += data[position:]
                return size
            length = _chunk_size(self._line + data[position:end])
            if length is None:
                return size
            self._line, self._left, self._last = b"", length + 2, length == 0
            position = end + 1
        # The line break after the last chunk's size is the first half of the bytes that end the body.
        return _end_in(data, max(start, position - 2))


def _chunk_size(line: bytes) -> int | None:
    try:
        return int(line.partition(b";")[0], 16) if line[:1].isalnum() else None
    except ValueError:
        return None


def _end_in(data: bytes, start: int) -> int:
    found = data.find(END, start)
    return len(data) if found < 0 else found + len(END)


class OrderedProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        #: Whether a head was parsed whose body has not ended; the bytes missing from that body, or its chunks.
        self._in_body, self._body_left = False, 0
        self._chunks: Chunks | None = None
        #: Bytes that follow the current request.
        self._waiting = b""
        #: Whether the client has ended its sending direction.
        self._ended = False

    def feed(self, data: bytes) -> None:
        """Parse up to the end of a request. The rest waits for its response. Raises what the parser raises."""
        if self._waiting:  # the event loop had read this before the pause
            self._waiting += data
            return
        view, start, size = memoryview(data), 0, len(data)
        while start < size:
            if not self._in_body and self.is_answering():
                if self.cycle.keep_alive:
                    self._wait(data[start:])
                return
            end = self._end_of_piece(data, start)
            self.parse(view[start:end])
            start = end

    def parse(self, data: memoryview) -> None:
        """Parse bytes in which a request can end only at the very end."""
        self.parser.feed_data(data)

    def is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._body_left, self._chunks = 0, None

    def on_header(self, name: bytes, value: bytes) -> None:
        """Do the same as uvicorn, which is not called because this runs for every header of every request."""
        name = name.lower()
        if name in NOTED:
            self._note(name, value)
        self.headers.append((name, value))

    def _note(self, name: bytes, value: bytes) -> None:
        if name == b"content-length":
            self._body_left = int(value) if value.strip().isdigit() else 0
        elif name == b"transfer-encoding":
            self._chunks = Chunks()
        elif value.lower() == b"100-continue":
            self.expect_100_continue = True

    def on_headers_complete(self) -> None:
        self._in_body = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_body = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._waiting:
            self.loop.call_soon(self._go_on)
        elif self._ended and not self.is_answering():
            self.transport.close()

    def eof_received(self) -> bool:  # type: ignore[override]  # as in asyncio, which uvicorn narrows to None
        """Return whether the connection stays open for a response that is still due."""  # B122
        if is_ssl(self.transport):
            return False  # asyncio's TLS has no half-closed connections
        self._ended = True
        if self._in_body or not self.is_answering():
            return False
        self.cycle.keep_alive = False
        return True

    def _end_of_piece(self, data: bytes, start: int) -> int:
        """Return the position up to which `data` can be parsed without reaching a second request."""
        if not self._in_body:
            return _end_in(data, start)
        if self._chunks is not None:
            return self._chunks.end_in(data, start)
        end = min(len(data), start + self._body_left) if self._body_left else len(data)
        self._body_left -= min(self._body_left, end - start)
        return end

    def _wait(self, rest: bytes) -> None:
        self._waiting = rest
        # This pause is separate from uvicorn's, which ends whenever the current request asks for more of its body.
        self.flow.read_paused = False
        self.transport.pause_reading()

    def _go_on(self) -> None:
        """Parse the waiting bytes after the response to the previous request."""
        if self.transport.is_closing() or self.is_answering():
            return
        rest, self._waiting = self._waiting, b""
        self.data_received(rest)
        if not (self._waiting or self.flow.read_paused or self.transport.is_closing()):
            self.transport.resume_reading()
