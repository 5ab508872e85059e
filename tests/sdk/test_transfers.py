"""Bytes, files and streams, small and in parts. Progress adds up, and failures leave nothing behind."""

import io
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from post3.sdk import Client, NotFound, Refused

from .conftest import MIB, client_of
from .cutting import CuttingProxy

LARGE = 12 * MIB + 345
#: The number of parts of the large object (a little over 12 MiB).
PARTS = 3


class Told:
    """A progress callback that records its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, int | None]] = []

    def __call__(self, done: int, total: int | None) -> None:
        self.calls.append((done, total))

    def adds_up(self, size: int, *, known: bool = True) -> bool:
        """Return whether the calls added up to the size, with the right total if it was known."""
        sums = [done for done, _ in self.calls]
        totals = {total for _, total in self.calls}
        return bool(sums) and sums == sorted(sums) and sums[-1] == size and (not known or totals == {size})


@pytest.fixture(params=[0, 1000, LARGE], ids=["empty", "small", "large"])
def body(request: pytest.FixtureRequest) -> bytes:
    return os.urandom(request.param)


def pieces_of(body: bytes, size: int = 700_001) -> Iterator[bytes]:
    yield from (body[start : start + size] for start in range(0, len(body), size))


def test_bytes_are_uploaded_and_downloaded(client: Client, bucket: str, body: bytes) -> None:
    sent, fetched = Told(), Told()
    client.put_bytes(bucket, "a", memoryview(body), progress=sent)
    assert client.get_bytes(bucket, "a", progress=fetched) == body
    assert sent.adds_up(len(body)) and fetched.adds_up(len(body))
    etag = client.head(bucket, "a").etag
    assert etag.endswith(f"-{PARTS}") if len(body) == LARGE else "-" not in etag


def test_files_are_uploaded_and_downloaded(client: Client, bucket: str, body: bytes, tmp_path: Path) -> None:
    source, target, sent, fetched = tmp_path / "source.txt", tmp_path / "target", Told(), Told()
    source.write_bytes(body)
    client.put_file(bucket, "a.txt", source, progress=sent)
    client.get_file(bucket, "a.txt", target, progress=fetched)
    assert target.read_bytes() == body
    assert sent.adds_up(len(body)) and fetched.adds_up(len(body))
    assert {path.name for path in tmp_path.iterdir()} == {"source.txt", "target"}


def test_streams_of_unknown_length(client: Client, bucket: str, body: bytes) -> None:
    sent = Told()
    client.put_stream(bucket, "a", pieces_of(body), progress=sent)
    assert sent.adds_up(len(body), known=False)
    fetched = Told()
    with client.get_stream(bucket, "a", progress=fetched) as stream:
        assert stream.info.size == len(body)
        assert b"".join(stream.chunks(100_000)) == body
    assert fetched.adds_up(len(body))


def test_a_pipe_is_uploaded_as_it_is_read(client: Client, bucket: str, body: bytes, tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(body)
    with subprocess.Popen(["cat", tmp_path / "source"], stdout=subprocess.PIPE) as cat:
        assert cat.stdout is not None
        client.put_stream(bucket, "a", cat.stdout)
    assert client.get_bytes(bucket, "a") == body


def test_an_open_file_is_uploaded_from_its_position(client: Client, bucket: str) -> None:
    file = io.BytesIO(b"0123456789")
    file.seek(4)
    client.put_stream(bucket, "a", file)
    assert client.get_bytes(bucket, "a") == b"456789"


def test_get_into_seekable_and_unseekable_files(client: Client, bucket: str, body: bytes, tmp_path: Path) -> None:
    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.got = bytearray()

        def writable(self) -> bool:
            return True

        def write(self, piece: Any) -> int:
            self.got += piece
            return len(piece)

    client.put_bytes(bucket, "a", body)
    seekable, pipe = io.BytesIO(), Pipe()
    client.get_into(bucket, "a", seekable)
    client.get_into(bucket, "a", pipe)
    assert seekable.getvalue() == body and bytes(pipe.got) == body


def test_a_stream_reads_lines_and_ranges(client: Client, bucket: str) -> None:
    client.put_bytes(bucket, "a", b"first\nsecond\nthird")
    with client.get_stream(bucket, "a") as stream:
        assert list(stream) == [b"first\n", b"second\n", b"third"]
    with client.get_stream(bucket, "a", start=6, length=6) as stream:
        assert (stream.read(), stream.info.size) == (b"second", 18)
    with client.get_stream(bucket, "a", start=13) as stream:
        assert stream.read() == b"third"
    with pytest.raises(Refused) as caught:
        client.get_stream(bucket, "a", start=18)
    assert (caught.value.code, caught.value.status) == ("InvalidRange", 416)
    with pytest.raises(ValueError, match="start is 0 or more"):
        client.get_stream(bucket, "a", start=-1)


def test_options_are_stored(client: Client, bucket: str) -> None:
    client.put_bytes(
        bucket,
        "a/page.html",
        b"x" * LARGE,
        metadata={"Color": "blue"},
        cache_control="no-store",
        content_disposition="inline",
        content_language="en",
    )
    info = client.head(bucket, "a/page.html")
    assert (info.content_type, info.metadata, info.cache_control) == ("text/html", {"color": "blue"}, "no-store")
    assert (info.content_disposition, info.content_language, info.size) == ("inline", "en", LARGE)


@pytest.mark.parametrize(
    ("key", "expected"),
    [("a.png", "image/png"), ("a.tar.gz", "application/octet-stream"), ("a.txt/b", "application/octet-stream")],
)
def test_content_type_is_guessed_from_the_key(client: Client, bucket: str, key: str, expected: str) -> None:
    client.put_bytes(bucket, key, b"")
    assert client.head(bucket, key).content_type == expected


def test_missing_objects(client: Client, bucket: str, tmp_path: Path) -> None:
    fetches: list[Callable[[], object]] = [
        lambda: client.get_bytes(bucket, "missing"),
        lambda: client.get_file(bucket, "missing", tmp_path / "target"),
        lambda: client.get_into(bucket, "missing", io.BytesIO()),
        lambda: client.get_stream(bucket, "missing"),
        lambda: client.put_bytes("no-such-bucket-here", "a", b""),
        lambda: client.put_bytes("no-such-bucket-here", "a", bytes(LARGE)),
    ]
    for fetch in fetches:
        with pytest.raises(NotFound):
            fetch()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(FileNotFoundError):
        client.put_file(bucket, "a", tmp_path / "missing")
    with pytest.raises(TypeError, match="binary mode"):
        client.put_stream(bucket, "a", io.StringIO("text"))


def test_a_stream_that_fails_leaves_nothing(client: Client, s3: Any, bucket: str) -> None:
    def failing() -> Iterator[bytes]:
        yield bytes(11 * MIB)
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="the source broke"):
        client.put_stream(bucket, "a", failing())
    assert not client.exists(bucket, "a")
    assert not s3.list_multipart_uploads(Bucket=bucket).get("Uploads")


def test_a_progress_callback_that_raises_ends_the_transfer(client: Client, s3: Any, bucket: str) -> None:
    def stop(done: int, total: int | None) -> None:
        raise InterruptedError("enough")

    with pytest.raises(InterruptedError):
        client.put_bytes(bucket, "a", bytes(LARGE), progress=stop)
    assert not client.exists(bucket, "a")
    assert not s3.list_multipart_uploads(Bucket=bucket).get("Uploads")


def test_interrupted_responses_are_requested_again(client: Client, server: Any, bucket: str, tmp_path: Path) -> None:
    body = os.urandom(MIB)
    client.put_bytes(bucket, "a", body)
    with CuttingProxy(server.host, server.port) as proxy, client_of(server, endpoint=proxy.url) as through:
        assert through.get_bytes(bucket, "a") == body
        assert proxy.cut == 1
        proxy.cut = 0
        through.get_file(bucket, "a", tmp_path / "a")
        assert (tmp_path / "a").read_bytes() == body
        assert proxy.cut == 1
