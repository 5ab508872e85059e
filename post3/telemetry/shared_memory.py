"""Share memory among server processes: files in one directory, each mapped by one process and read by all.

A process holds a lock on its file for as long as it lives, however it ends. A file without a lock therefore belongs to
a process that has ended, and the next process to start takes it over. Nothing accumulates over restarts, and a killed
process needs no cleanup.
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

#: Prefix of the files' names. A digest of their layout and a number follow.
PREFIX = "counts-"
FILE_NAME = re.compile(PREFIX + r"[0-9a-f]{12}-[0-9]+")


def take(place: str, prefix: str, size: int) -> "memoryview[float]":
    """Map the first file with that prefix that no live process holds, as doubles; create it if missing.

    `size` is the file's size in bytes. Files with other prefixes that no process holds are removed: they belong to an
    earlier version, which counted other things. Raises OSError.
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
            # The map keeps a duplicate of the handle, and with it the lock, until it is freed or the process ends.
            return memoryview(mmap.mmap(handle, size)).cast("d")
        finally:
            os.close(handle)


def read(place: str, prefix: str, size: int) -> Iterator[tuple[bool, "array[float]"]]:
    """For each file with that prefix, yield whether its process is alive, and the file's doubles."""
    for path in Path(place).glob(f"{prefix}*"):
        with suppress(FileNotFoundError):  # removed in between
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                data = os.pread(handle, size, 0)
                if len(data) == size:  # otherwise it is being created
                    yield not _lock(handle, fcntl.LOCK_SH), array("d", data)
            finally:
                os.close(handle)


def remove(place: str) -> None:
    """Remove the directory if no process holds a file in it."""
    directory = Path(place)
    if directory.is_dir() and not directory.is_symlink() and all(_is_free(path) for path in directory.glob(f"{PREFIX}*")):
        shutil.rmtree(directory, ignore_errors=True)


def _remove_others(directory: Path, prefix: str) -> None:
    for path in directory.iterdir():
        if FILE_NAME.fullmatch(path.name) and not path.name.startswith(prefix):
            with suppress(FileNotFoundError):  # another process removed it
                if _is_free(path):
                    path.unlink()


def _allocate(handle: int, size: int) -> None:
    """Allocate that many bytes on disk for a file, not just its length. Raises OSError if there is no space.

    A process that writes to a mapped page is killed (SIGBUS) if the disk then has no space for the page.
    """
    os.ftruncate(handle, size)
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(handle, 0, size)
        return
    data = os.pread(handle, size, 0)  # writing allocates space too
    while data:
        data = data[os.pwrite(handle, data, size - len(data)) :]


def _is_free(path: Path) -> bool:
    """Whether no live process holds that file."""
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        return _lock(handle, fcntl.LOCK_EX)
    finally:
        os.close(handle)


def _lock(handle: int, kind: int) -> bool:
    """Try to lock an open file; return whether it succeeded. The lock ends with the last copy of the handle."""
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
