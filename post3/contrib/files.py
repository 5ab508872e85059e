"""Adapters: Django's files as request bodies for saving, and objects as Django's files for reading."""

import contextlib
import hashlib
import io
import mimetypes
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from typing import IO, TYPE_CHECKING, Any, Self

from django.core.files import File

from ..access.permissions import Grant
from ..checksums import new_hasher
from ..errors import PreconditionFailed
from ..services.objects import open_object
from ..storage.base import MIB
from ..values import ByteRange, Conditions

#: Size of a reader's buffer; `File.chunks`, lines and small reads are served from it.
BUFFER = 256 * 1024
DEFAULT_CONTENT_TYPE = "application/octet-stream"
# Types of compressed files themselves. The inner type with a Content-Encoding would make browsers decompress them.
_ENCODED = {"gzip": "application/gzip", "bzip2": "application/x-bzip2", "xz": "application/x-xz"}
_CONTENT_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+([ \t]*;[\x20-\x7e]*)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Source:
    """A file whose bytes can be read from its beginning as often as needed, and its length in bytes."""

    file: IO[bytes]
    length: int


@contextlib.contextmanager
def open_source(content: Any) -> Iterator[Source]:
    """Yield a Django file's bytes. Text is encoded as UTF-8.

    A file that cannot seek, such as a socket's, is spooled to a temporary file, which is removed at the end. The
    content itself is not closed.
    """
    if (source := _measured(content)) is not None:
        yield source
        return
    with SpooledTemporaryFile(max_size=MIB) as spool:
        for chunk in content.chunks(MIB):
            spool.write(chunk.encode() if isinstance(chunk, str) else chunk)
        yield Source(spool, spool.tell())


def _measured(content: Any) -> Source | None:
    """Return the content and its length, or None if it cannot seek."""
    try:
        content.seek(0)
        if isinstance(content.read(0), str):
            data = content.read().encode()
            return Source(io.BytesIO(data), len(data))
        content.seek(0, io.SEEK_END)
        return Source(content, content.tell())
    except (AttributeError, OSError):  # io.UnsupportedOperation is an OSError
        return None


class FilePayload:
    """The bytes of a source from its beginning, hashed while they are read; a `values.Payload`."""

    checksum_algorithm = "CRC64NVME"

    def __init__(self, source: Source) -> None:
        source.file.seek(0)
        self._file, self.length = source.file, source.length
        self._read = 0
        self._md5, self._crc = hashlib.md5(usedforsecurity=False), new_hasher(self.checksum_algorithm)

    @property
    def md5(self) -> str:
        return self._md5.hexdigest()

    @property
    def checksum(self) -> str:
        return self._crc.base64()

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes, `b""` at the end. Raises OSError if the file's length has changed meanwhile."""
        data = self._file.read(size)
        self._read += len(data)
        if self._read > self.length or (not data and size and self._read != self.length):
            raise OSError(f"The file had {self.length} bytes when it was opened, and gives {self._read}.")
        self._md5.update(data)
        self._crc.update(data)
        return data


def content_type_of(name: str, content: Any) -> str:
    """Return the file's own content type if it has a valid one, else the type implied by its name."""
    told = getattr(content, "content_type", None)
    if isinstance(told, str) and _CONTENT_TYPE.fullmatch(told):
        return told
    guessed, encoding = mimetypes.guess_type(name)
    if encoding:
        return _ENCODED.get(encoding, DEFAULT_CONTENT_TYPE)
    return guessed or DEFAULT_CONTENT_TYPE


if TYPE_CHECKING:
    AnyFile = File[Any]
else:
    AnyFile = File  # takes type parameters only in django-stubs


class StoredFile(AnyFile):
    """An object as a Django file for reading. `open` restarts at the beginning, even after `close`."""

    def __init__(self, open_reader: "Callable[[], ObjectReader]", name: str, mode: str) -> None:
        self._open_reader, self.mode = open_reader, mode
        super().__init__(self._stream(), name)

    def open(self, mode: str | None = None) -> Self:  # type: ignore[override]  # Django's others are for files on disk
        if self.closed or (mode or self.mode) != self.mode:
            self.mode = mode or self.mode
            self.file = self._stream()
        else:
            self.seek(0)
        return self

    def _stream(self) -> Any:
        reader = self._open_reader()
        self.size = reader.size
        buffered = io.BufferedReader(reader, BUFFER)
        return buffered if self.mode == "rb" else io.TextIOWrapper(buffered, "utf-8")


class ObjectReader(io.RawIOBase):
    """An object as a file for reading: bytes are fetched as they are read, and `seek` itself costs nothing.

    All reads are of the version that was opened. If the key has been overwritten since, a read that must look it up
    again raises OSError. Use it through `io.BufferedReader`.
    """

    def __init__(self, grant: Grant, key: str) -> None:
        """Open the object. Raises NoSuchBucket, NoSuchKey, StorageError."""
        super().__init__()
        self._grant, self._key = grant, key
        self._position, self._rest = 0, memoryview(b"")
        opened = open_object(grant, key, Conditions())
        self.size, self._etag = opened.row.size, opened.row.etag
        self._pieces: Iterator[bytes] | None = self._as_pieces(opened.body)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}[whence]
        position = base + offset
        if position < 0:
            raise ValueError(f"Cannot seek to {position}.")
        if position != self._position:
            skipped = position - self._position
            if 0 < skipped <= len(self._rest):
                self._rest = self._rest[skipped:]
            else:
                self._let_go()
            self._position = position
        return position

    def readinto(self, buffer: Any, /) -> int:
        """Fill the buffer or a part of it and return the count; 0 at the end. Raises OSError, StorageError."""
        if self._position >= self.size:
            return 0
        if not self._rest:
            self._rest = memoryview(self._next_piece())
        count = min(len(buffer), len(self._rest))
        buffer[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        self._position += count
        return count

    def close(self) -> None:
        if not self.closed:
            self._let_go()
        super().close()

    def _next_piece(self) -> bytes:
        if self._pieces is None:
            try:
                byte_range = ByteRange(self._position, None, f"bytes={self._position}-")
                opened = open_object(self._grant, self._key, Conditions(if_match=self._etag), byte_range)
            except PreconditionFailed:
                raise OSError(f"{self._key} was overwritten while it was being read.") from None
            self._pieces = self._as_pieces(opened.body)
        return next(self._pieces)

    def _as_pieces(self, body: bytes | Iterator[bytes]) -> Iterator[bytes]:
        return iter((body,)) if isinstance(body, bytes) else body

    def _let_go(self) -> None:
        pieces, self._pieces, self._rest = self._pieces, None, memoryview(b"")
        if pieces is not None and hasattr(pieces, "close"):
            pieces.close()
