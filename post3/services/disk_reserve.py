"""Room to delete in, when the disk of a SQLite catalogue is full.

A DELETE writes before it frees anything: to the log, and to the rows that wait for the worker. On a full disk nobody could make
room. So a file beside the catalogue holds some, which is given up when deleting finds no room, and is made again once there is
enough. While it is given up nothing may be written but what deletes, or uploads would take the room that was meant for that.

The file's size says how it is, to all processes: `SIZE` bytes, or none where it was given up. PostgreSQL looks after its own
room: docs/operations.md, "A full disk".
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

#: Bytes kept: what SQLite's log grows to between two checkpoints.
SIZE = 4 * MIB
#: Seconds between two looks at what other processes did to the file. A look takes some microseconds of each PUT otherwise.
LOOK = 0.2

_next_look = 0.0


def keep() -> bool:
    """Make the reserve where it is missing or was given up, and the disk has twice its size. Return whether it is there."""
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
    """Give the reserve up for who deletes. Return whether there was one."""
    global _next_look
    path = _path()
    with suppress(OSError):
        if path and _size(path) > 0:
            os.truncate(path, 0)
            _next_look = 0.0
            return True
    return False


def is_given_up() -> bool:
    """Whether the reserve was given up, and cannot be made again yet."""
    path = _path()
    return bool(path) and _size(path) == 0 and not keep()


def refuse_growth() -> None:
    """Raise InsufficientStorage where only what deletes may be written."""
    global _next_look
    if time.monotonic() < _next_look:
        return
    if is_given_up():
        raise InsufficientStorage()
    _next_look = time.monotonic() + LOOK


def may_use_reserve(work: Callable[..., T]) -> Callable[..., T]:
    """Run again, with the reserve given up, what deletes and found the disk full."""

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
    """Return the reserve's path; empty where the catalogue is no file of SQLite's."""
    database = connections[DEFAULT_DB_ALIAS]
    name = str(database.settings_dict["NAME"])
    return f"{os.path.abspath(name)}-reserve" if database.vendor == "sqlite" and os.path.isfile(name) else ""


def _size(path: str) -> int:
    """Return the file's size; -1 where there is none."""
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return -1
