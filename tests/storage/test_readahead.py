"""Reading ahead: the same bytes in the same order, errors in their place, and a thread that ends."""

import io
import random
import threading
import time
from collections.abc import Callable

import pytest

from post3.threads import readahead
from post3.threads.parking import occupy
from post3.threads.readahead import AHEAD, PIECE, ReadAhead

from .suite import BrokenStream, ShortStream

#: Seconds after which an expected event is considered to hang.
PATIENCE = 30


class Recording(io.BytesIO):
    """A stream that records how it was read."""

    def __init__(self, data: bytes = b"") -> None:
        super().__init__(data)
        self.sizes: list[int | None] = []
        self.readers: set[threading.Thread] = set()

    def read(self, size: int | None = -1, /) -> bytes:
        self.sizes.append(size)
        self.readers.add(threading.current_thread())
        return super().read(size)


class Held:
    """A stream whose reads wait until `release` is set."""

    def __init__(self) -> None:
        self.entered, self.release = threading.Event(), threading.Event()

    def read(self, size: int = -1, /) -> bytes:
        self.entered.set()
        assert self.release.wait(PATIENCE)
        return b""


class Counted:
    """A slot among running threads that records when it was given up and taken again."""

    def __init__(self) -> None:
        self.given = threading.Event()
        self.steps: list[str] = []

    def give_up(self) -> None:
        self.steps.append("give up")
        self.given.set()

    def take_again(self) -> None:
        self.steps.append("take again")


def wait_until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "the condition was not met"
        time.sleep(0.005)


def read_all(stream: ReadAhead, size: int) -> list[bytes]:
    pieces = []
    while piece := stream.read(size):
        pieces.append(piece)
    return pieces


@pytest.mark.parametrize("size", [0, 1, PIECE - 1, PIECE, PIECE + 1, (2 * AHEAD + 3) * PIECE + 17])
def test_whole_pieces_in_order(size: int) -> None:
    data = random.Random(size).randbytes(size)
    inner = Recording(data)
    with ReadAhead(inner) as stream:
        pieces = read_all(stream, PIECE)
        assert stream.read(PIECE) == b"", "nothing follows the end"
    assert b"".join(pieces) == data
    assert [len(piece) for piece in pieces] == [PIECE] * (size // PIECE) + [size % PIECE] * (size % PIECE > 0)
    assert set(inner.sizes) == {PIECE}
    assert threading.current_thread() not in inner.readers and len(inner.readers) == 1


@pytest.mark.parametrize("make", [io.BytesIO, ShortStream], ids=["whole", "short"])
def test_same_bytes_whatever_the_sizes_read(make: Callable[[bytes], io.BytesIO]) -> None:
    chance = random.Random(5)
    for _ in range(6):
        data = chance.randbytes(chance.choice([1, 100_000, PIECE + 1, 3 * PIECE + 7]))
        with ReadAhead(make(data)) as stream:
            received = b""
            while True:
                size = chance.choice([1, 7, 5_000, 70_000, PIECE - 1, PIECE, PIECE + 1, 5 * PIECE, -1])
                piece = stream.read(size)
                assert size < 0 or len(piece) <= size
                if not piece:
                    break
                received += piece
        assert received == data


def test_no_more_is_read_ahead_than_configured() -> None:
    inner = Recording(bytes(10 * PIECE))
    with ReadAhead(inner) as stream:
        # One more than those that are ready: it has been read and waits for space.
        wait_until(lambda: inner.tell() == (AHEAD + 1) * PIECE)
        time.sleep(0.1)
        assert inner.tell() == (AHEAD + 1) * PIECE
        stream.read(PIECE)
        wait_until(lambda: inner.tell() == (AHEAD + 2) * PIECE)
        time.sleep(0.1)
        assert inner.tell() == (AHEAD + 2) * PIECE


@pytest.mark.parametrize("size", [0, 1, PIECE, 4 * PIECE + 5])
def test_errors_come_after_the_pieces_before_them(size: int) -> None:
    data = random.Random(size).randbytes(size)
    received = b""
    with ReadAhead(BrokenStream(data)) as stream:
        with pytest.raises(ConnectionResetError, match="went away"):
            while True:
                received += stream.read(100_000)
                assert len(received) <= size
        assert received == data
        with pytest.raises(ConnectionResetError):  # the error must not become an end
            stream.read(1)


def test_errors_that_are_not_exceptions_reach_the_reader_too() -> None:
    class Broken:
        def read(self, size: int = -1, /) -> bytes:
            raise SystemExit(3)

    with ReadAhead(Broken()) as stream, pytest.raises(SystemExit):
        stream.read(1)


@pytest.mark.parametrize("pieces", [0, 1, 3])
def test_the_thread_of_a_reader_that_stops_early_ends(pieces: int) -> None:
    inner = Recording(bytes(20 * PIECE))
    with pytest.raises(ZeroDivisionError), ReadAhead(inner) as stream:
        for _ in range(pieces):
            stream.read(PIECE)
        wait_until(lambda: inner.tell() == (pieces + AHEAD + 1) * PIECE)
        raise ZeroDivisionError  # like a storage with a full disk
    (thread,) = inner.readers
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert inner.tell() <= (pieces + AHEAD + 2) * PIECE


def test_leaving_does_not_wait_for_a_stream_that_blocks() -> None:
    inner = Held()
    with ReadAhead(inner) as stream:
        assert inner.entered.wait(PATIENCE)
    thread = stream._thread
    assert thread.is_alive(), "the thread must still wait for the client"
    inner.release.set()
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_a_reader_that_waits_long_gives_up_its_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readahead, "PARK_AFTER", 0.01)
    inner, place = Held(), Counted()
    threading.Thread(target=lambda: (place.given.wait(PATIENCE), inner.release.set())).start()
    occupy(place)
    try:
        with ReadAhead(inner) as stream:
            assert stream.read(1) == b""
    finally:
        occupy(None)
    assert place.steps == ["give up", "take again"]


def test_a_reader_that_does_not_wait_keeps_its_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readahead, "PARK_AFTER", PATIENCE)
    place = Counted()
    occupy(place)
    try:
        with ReadAhead(io.BytesIO(bytes(3 * PIECE))) as stream:
            assert len(b"".join(read_all(stream, PIECE))) == 3 * PIECE
    finally:
        occupy(None)
    assert place.steps == []
