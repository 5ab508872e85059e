"""Under WSGI, the body reads exactly its own bytes from the connection."""

import threading
import time

import pytest
from gunicorn.http.errors import ParseException

from post3.errors import IncompleteBody
from post3.s3.body import WsgiBody


class Connection:
    """The connection of a server.

    It does not know where a request ends, and it is slow, so that two readers overlap.
    """

    def __init__(self, data: bytes) -> None:
        self.data, self.position = data, 0

    def read(self, size: int) -> bytes:
        time.sleep(0.001)
        piece = self.data[self.position : self.position + size]
        self.position += len(piece)
        return piece


def test_two_readers_leave_the_next_request_alone() -> None:
    connection = Connection(b"x" * 1000 + b"PUT /next HTTP/1.1")
    body, read = WsgiBody(connection, 1000), []

    def drain() -> None:
        while piece := body.read(70):
            read.append(piece)

    readers = [threading.Thread(target=drain) for _ in range(4)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(10)
    assert b"".join(read) == b"x" * 1000 and connection.position == 1000


def test_a_body_cut_short_raises() -> None:
    body = WsgiBody(Connection(b"x" * 10), 11)
    assert body.read(11) == b"x" * 10
    with pytest.raises(IncompleteBody):
        body.read(1)


@pytest.mark.parametrize("error", [ConnectionResetError("gone"), ParseException("no CRLF after a chunk")])
def test_a_body_that_the_server_cannot_read_raises(error: Exception) -> None:
    class Broken:
        def read(self, size: int = -1) -> bytes:
            raise error

    with pytest.raises(IncompleteBody):
        WsgiBody(Broken(), None).read(10)
