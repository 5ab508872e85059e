"""Download objects into bytes, files and file objects, or as a stream."""

import io
import os
from collections.abc import Iterator
from typing import Any, BinaryIO

from s3transfer.utils import S3_RETRYABLE_DOWNLOAD_ERRORS

from .base import Calls
from .errors import refusals
from .progress import Progress
from .values import MIB, ObjectInfo


class Downloads(Calls):
    """The client's methods that fetch an object. All raise NotFound if it does not exist."""

    @refusals()
    def get_bytes(self, bucket: str, key: str, *, progress: Progress | None = None) -> bytes:
        """Return an object's bytes. An interrupted response is retried as often as any request."""
        for attempt in range(1, self._attempts + 1):
            stream = self.get_stream(bucket, key, progress=progress)
            try:
                with stream:
                    return stream.read()
            except S3_RETRYABLE_DOWNLOAD_ERRORS:
                if attempt == self._attempts:
                    raise
        raise AssertionError("a client tries at least once")

    @refusals()
    def get_file(self, bucket: str, key: str, path: str | os.PathLike[str], *, progress: Progress | None = None) -> None:
        """Write an object to a file; large objects are fetched in several concurrent ranges.

        The file gets its name only when it is complete; until then an existing file of that name is unchanged. Raises
        OSError.
        """
        name = os.fspath(path)
        self._transfer(lambda manager, subscribers: manager.download(bucket, key, name, subscribers=subscribers), progress)

    @refusals()
    def get_into(self, bucket: str, key: str, file: BinaryIO, *, progress: Progress | None = None) -> None:
        """Write an object into an open file object: from the beginning if it is seekable, otherwise sequentially."""
        self._transfer(lambda manager, subscribers: manager.download(bucket, key, file, subscribers=subscribers), progress)

    @refusals()
    def get_stream(
        self, bucket: str, key: str, *, start: int = 0, length: int | None = None, progress: Progress | None = None
    ) -> "ObjectStream":
        """Open an object for reading, from byte `start`, for `length` bytes or to the end. Close it, or use `with`.

        The stream is not kept in memory. A `start` at or after the object's end raises Refused (InvalidRange), unless
        it is 0. An interrupted stream raises botocore's IncompleteReadError, ResponseStreamingError or ReadTimeoutError
        during a read.
        """
        if start < 0 or (length is not None and length < 1):
            raise ValueError("start is 0 or more, length 1 or more")
        last = "" if length is None else start + length - 1
        ranged = {"Range": f"bytes={start}-{last}"} if start or length is not None else {}
        answer = self.s3.get_object(Bucket=bucket, Key=key, **ranged)
        return ObjectStream(ObjectInfo.of(key, answer), answer["ContentLength"], answer["Body"], progress)


class ObjectStream(io.BufferedReader):
    """An object opened for reading: a binary file object without seeking. `info`: the object's properties."""

    def __init__(self, info: ObjectInfo, length: int, body: Any, progress: Progress | None) -> None:
        super().__init__(_Body(body, length, progress), buffer_size=256 * 1024)
        self.info = info

    def chunks(self, size: int = MIB) -> Iterator[bytes]:
        """Yield the rest in pieces of `size` bytes; only the last may be shorter."""
        while piece := self.read(size):
            yield piece


class _Body(io.RawIOBase):
    """botocore's body as a raw file object that reports progress. The body checks length and checksum at its end."""

    def __init__(self, body: Any, length: int, progress: Progress | None) -> None:
        self._body, self._length, self._progress = body, length, progress
        self._done = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count: int = self._body.readinto(buffer)
        self._done += count
        if self._progress and (count or not self._length):
            self._progress(self._done, self._length)
        return count

    def close(self) -> None:
        if not self.closed:
            self._body.close()
        super().close()
