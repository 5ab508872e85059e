"""Upload bytes, files and streams; s3transfer sends large ones in concurrent parts, and aborts failed uploads."""

import io
import mimetypes
import os
from collections.abc import Iterable, Iterator
from typing import Any, Protocol, Unpack

from .base import Calls
from .errors import refusals
from .progress import Progress
from .values import PutOptions

_HEADERS = {
    "content_type": "ContentType",
    "metadata": "Metadata",
    "cache_control": "CacheControl",
    "content_disposition": "ContentDisposition",
    "content_encoding": "ContentEncoding",
    "content_language": "ContentLanguage",
    "storage_class": "StorageClass",
}


class Readable(Protocol):
    """Anything with a `read` that returns bytes: a file, a pipe, an HTTP response."""

    def read(self, size: int = -1, /) -> bytes: ...


class Uploads(Calls):
    """The client's methods that store an object. Each replaces an existing object of that key atomically at the end.

    All take the fields of `PutOptions` as keywords, and raise NotFound if the bucket does not exist.
    """

    def put_bytes(
        self,
        bucket: str,
        key: str,
        data: bytes | bytearray | memoryview,
        *,
        progress: Progress | None = None,
        **options: Unpack[PutOptions],
    ) -> None:
        """Store bytes."""
        self._upload(bucket, key, io.BytesIO(data), progress, options)

    def put_file(
        self,
        bucket: str,
        key: str,
        path: str | os.PathLike[str],
        *,
        progress: Progress | None = None,
        **options: Unpack[PutOptions],
    ) -> None:
        """Store a file. Raises OSError if it cannot be read."""
        self._upload(bucket, key, os.fspath(path), progress, options)

    def put_stream(
        self,
        bucket: str,
        key: str,
        stream: Readable | Iterable[bytes],
        *,
        progress: Progress | None = None,
        **options: Unpack[PutOptions],
    ) -> None:
        """Store a file object's contents from its current position, or pieces of bytes, of any and even unknown length.

        At most `concurrency` + 2 parts are in memory. Raises TypeError if the stream returns text.
        """
        if isinstance(stream, io.TextIOBase | str):
            raise TypeError("put_stream stores bytes: open the file in binary mode, or encode the text")
        source = stream if hasattr(stream, "read") else io.BufferedReader(_Pieces(iter(stream)))
        self._upload(bucket, key, source, progress, options)

    @refusals()
    def _upload(self, bucket: str, key: str, source: Any, progress: Progress | None, options: PutOptions) -> None:
        arguments = {"content_type": guess_type(key), **options}
        extra = {_HEADERS[name]: value for name, value in arguments.items()}
        self._transfer(lambda manager, subscribers: manager.upload(source, bucket, key, extra, subscribers), progress)


def guess_type(key: str) -> str:
    """Return the content type implied by a key's name, else `application/octet-stream`.

    `a.tar.gz` gets the latter too: the type of its name would be that of the content inside the compression.
    """
    kind, encoding = mimetypes.guess_type(key.rpartition("/")[2])
    return kind if kind and not encoding else "application/octet-stream"


class _Pieces(io.RawIOBase):
    """An iterator of bytes as a file object, as s3transfer requires."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces, self._rest = pieces, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece).cast("B")
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count
