"""Reserved disk space for deletions when the disk of a SQLite catalogue is full.

A DELETE writes before it frees anything: to SQLite's log, and to the rows that wait for the worker. On a full disk
nobody could free space. Therefore a file beside the catalogue reserves some. It is truncated when a deletion finds the
disk full, and allocated again once there is enough space. In between, only deletions may write, because uploads would
use up the space.

The file's size gives its state to all processes: `SIZE` bytes, or 0 if it was given up. For PostgreSQL see
docs/operations.md, "A full disk".
"""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any, TypeVar

from django.db import DEFAULT_DB_ALIAS, DatabaseError, connection, connections

from ..errors import InsufficientStorage
from ..storage.base import MIB, is_full

T = TypeVar("T")

#: Bytes reserved: the size that SQLite's log reaches between two checkpoints.
SIZE = 4 * MIB
#: Seconds between two checks of the file, which other processes may change. A check would cost each PUT microseconds.
LOOK = 0.2

_next_look = 0.0


def keep() -> bool:
    """Allocate the reserve if it does not exist and the disk has twice its size free. Return whether it exists."""
    path = _path()
    if not path:
        return True
    with suppress(OSError):
        if _size(path) >= SIZE:
            return True
        status = os.statvfs(os.path.dirname(path))
        if status.f_bavail * status.f_frsize < 2 * SIZE:
            return False
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.posix_fallocate(file, 0, SIZE)
            return True
        except OSError:
            os.ftruncate(file, 0)
        finally:
            os.close(file)
    return False


def give_up() -> bool:
    """Give up the reserve, for deletions. Return whether there was one."""
    global _next_look
    path = _path()
    with suppress(OSError):
        if path and _size(path) > 0:
            os.truncate(path, 0)
            _next_look = 0.0
            return True
    return False


def is_given_up() -> bool:
    """Whether the reserve was given up and cannot be allocated again yet."""
    path = _path()
    return bool(path) and _size(path) == 0 and not keep()


def refuse_growth() -> None:
    """Raise InsufficientStorage if only deletions may write."""
    global _next_look
    if time.monotonic() < _next_look:
        return
    if is_given_up():
        raise InsufficientStorage()
    _next_look = time.monotonic() + LOOK


def may_use_reserve(work: Callable[..., T]) -> Callable[..., T]:
    """Give up the reserve and try again if a deletion finds the disk full."""

    @wraps(work)
    def run(*args: Any, **kwargs: Any) -> T:
        try:
            return work(*args, **kwargs)
        except DatabaseError as error:
            if not is_full(error) or connection.in_atomic_block or not give_up():
                raise
        return work(*args, **kwargs)

    return run


def _path() -> str:
    """Return the reserve's path; empty if the catalogue is not an SQLite file."""
    database = connections[DEFAULT_DB_ALIAS]
    name = str(database.settings_dict["NAME"])
    return f"{os.path.abspath(name)}-reserve" if database.vendor == "sqlite" and os.path.isfile(name) else ""


def _size(path: str) -> int:
    """Return the file's size, or -1 if it does not exist."""
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return -1
