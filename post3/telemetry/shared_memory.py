"""Memory that server processes share: files of one directory, each mapped by one process and read by all.

A process holds a lock on its file for as long as it lives, however it ends. So a file that nobody holds is that of a process
that ended, and the next one to come takes it over: nothing piles up over restarts, and a killed process needs no clearing up.
"""

import fcntl
import mmap
import os
import re
import shutil
import stat
from array import array
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

#: What the files' names begin with; a digest of what is in them follows, and a number.
PREFIX = "counts-"
FILE_NAME = re.compile(PREFIX + r"[0-9a-f]{12}-[0-9]+")


def take(place: str, prefix: str, size: int) -> memoryview:
    """Map the first file of that prefix that no living process holds, as doubles, `size` bytes in all; make it where missing.

    Files of other prefixes that nobody holds are removed: an earlier version's, which counted other things. Raises OSError.
    """
    os.makedirs(place, mode=0o700, exist_ok=True)
    found = os.lstat(place)
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        raise PermissionError(f"{place} is not a directory of this user's")
    _remove_others(Path(place), prefix)
    slot = 0
    while True:
        handle = os.open(Path(place, f"{prefix}{slot}"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        try:
            if not _lock(handle, fcntl.LOCK_EX):
                slot += 1
                continue
            if os.fstat(handle).st_nlink == 0:
                continue  # removed in between
            _allocate(handle, size)
            # The map keeps a handle of its own, and with it the lock, until it goes or the process ends.
            return memoryview(mmap.mmap(handle, size)).cast("d")
        finally:
            os.close(handle)


def read(place: str, prefix: str, size: int) -> Iterator[tuple[bool, "array[float]"]]:
    """Yield of each file of that prefix whether its process lives, and its doubles."""
    for path in Path(place).glob(f"{prefix}*"):
        with suppress(FileNotFoundError):  # removed in between
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                data = os.pread(handle, size, 0)
                if len(data) == size:  # or it is being made
                    yield not _lock(handle, fcntl.LOCK_SH), array("d", data)
            finally:
                os.close(handle)


def remove(place: str) -> None:
    """Remove the directory, if no process holds a file of it."""
    directory = Path(place)
    if directory.is_dir() and not directory.is_symlink() and all(_is_free(path) for path in directory.glob(f"{PREFIX}*")):
        shutil.rmtree(directory, ignore_errors=True)


def _remove_others(directory: Path, prefix: str) -> None:
    for path in directory.iterdir():
        if FILE_NAME.fullmatch(path.name) and not path.name.startswith(prefix):
            with suppress(FileNotFoundError):  # another process is at it, too
                if _is_free(path):
                    path.unlink()


def _allocate(handle: int, size: int) -> None:
    """Give a file that many bytes on the disk, not in its length alone. Raises OSError where there is no room.

    A process that writes to a page of a map for which the disk then has no room is killed (SIGBUS).
    """
    os.ftruncate(handle, size)
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(handle, 0, size)
        return
    data = os.pread(handle, size, 0)  # what is written takes room, too
    while data:
        data = data[os.pwrite(handle, data, size - len(data)) :]


def _is_free(path: Path) -> bool:
    """Whether no living process holds that file."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        return _lock(handle, fcntl.LOCK_EX)
    finally:
        os.close(handle)


def _lock(handle: int, kind: int) -> bool:
    """Try to lock an open file; return whether it is locked now. The lock ends with the last copy of the handle."""
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
