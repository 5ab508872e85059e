"""Walk a file system storage's whole tree, one entry at a time."""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress

from ..base import StoredName
from .directories import OPEN_DIRECTORY
from .names import BUCKET, BUCKET_DESCRIPTION, DESCRIPTION, NAME, bucket_description

#: Where files are written before they get their names, and where damaged files go. No bucket name starts with a dot.
TEMPORARY, QUARANTINE = ".tmp", ".quarantine"


def walk_tree(location: str) -> Iterator[StoredName]:
    """Yield every file below `location` except files being written, quarantined files and descriptions of buckets.

    Follows no link. Raises OSError.

    Entries that the storage did not create are yielded as foreign, a directory as a single entry.
    """
    top = os.open(location, OPEN_DIRECTORY & ~os.O_NOFOLLOW)
    try:
        yield from _walk(top, "")
    finally:
        os.close(top)


def find_described_buckets(location: str) -> Iterator[str]:
    """Yield the names of the buckets that have a description. Raises OSError."""
    with os.scandir(location) as entries:
        for entry in entries:
            path = bucket_description(entry.name)
            if BUCKET_DESCRIPTION.fullmatch(path) and os.path.lexists(os.path.join(location, path)):
                yield entry.name


def _walk(directory: int, path: str) -> Iterator[StoredName]:
    # Read one entry at a time: a directory may hold a million. `stat` starts from its handle, to follow no link.
    with os.scandir(directory) as entries:
        for entry in entries:
            name = f"{path}/{entry.name}" if path else entry.name
            if name in (TEMPORARY, QUARANTINE) or BUCKET_DESCRIPTION.fullmatch(name):
                continue
            with suppress(FileNotFoundError, NotADirectoryError):  # removed or replaced after it was read
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode) and _is_ours(name):
                    below = os.open(entry.name, OPEN_DIRECTORY, dir_fd=directory)
                    try:
                        yield from _walk(below, name)
                    finally:
                        os.close(below)
                else:
                    yield _stored(name, status)


def _is_ours(path: str) -> bool:
    """Whether a directory may hold the storage's files: `<bucket>` or `<bucket>/<xx>`."""
    return re.fullmatch(rf"{BUCKET}(/[0-9a-f]{{2}})?", path, re.ASCII) is not None


def _stored(path: str, status: os.stat_result) -> StoredName:
    match = NAME.fullmatch(path) if stat.S_ISREG(status.st_mode) else None
    is_description = match is not None and path.endswith(DESCRIPTION)
    name = path.removesuffix(DESCRIPTION) if is_description else path
    return StoredName(0, name, status.st_size, status.st_mtime, is_description, is_foreign=match is None)
