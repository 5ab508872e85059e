"""Finding the descriptions in a file system storage's tree, with the directory of one fan-out in memory at a time."""

import os
import re
from collections.abc import Callable, Iterator

#: Bytes of the longest description that is believed: 10,000 parts of long names take a tenth of it.
MAX_DOCUMENT = 16 << 20


def read_descriptions(
    location: str, open_directory: Callable[..., int], pattern: re.Pattern[str], open_flags: int
) -> Iterator[tuple[str, bytes]]:
    """Yield (name without `.json`, document) of every file whose path `pattern` knows as a description.

    `open_directory(bucket, fan)` follows no link. What cannot be read, or is no plain file, comes with no bytes.
    Raises OSError where the location itself cannot be read.
    """
    for bucket in sorted(os.listdir(location)):
        if bucket.startswith("."):
            continue
        for fan in _entries(open_directory, bucket):
            for file_name in _entries(open_directory, bucket, fan):
                name = f"{bucket}/{fan}/{file_name}"
                if file_name.endswith(".json") and pattern.fullmatch(name):
                    yield name.removesuffix(".json"), _read(open_directory, bucket, fan, file_name, open_flags)


def _entries(open_directory: Callable[..., int], *steps: str) -> list[str]:
    try:
        directory = open_directory(*steps)
    except OSError:  # a file or link that somebody put there
        return []
    try:
        return sorted(os.listdir(directory))
    finally:
        os.close(directory)


def _read(open_directory: Callable[..., int], bucket: str, fan: str, file_name: str, open_flags: int) -> bytes:
    try:
        directory = open_directory(bucket, fan)
        try:
            file = os.open(file_name, open_flags, dir_fd=directory)
        finally:
            os.close(directory)
        with open(file, "rb") as opened:
            return opened.read(MAX_DOCUMENT)
    except OSError:
        return b""
