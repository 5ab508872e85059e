"""Open, durably create and list the directories of the file system storage.

No symbolic link below `location` is followed: each path component is opened relative to its parent, with O_NOFOLLOW.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ..base import Storage, StorageError

#: Maximum number of directories kept open.
HANDLES = 64

OPEN_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class DirectoryTree(Storage):
    """A storage below the directory `location`, which is created if it is missing.

    Files and directories are created with these permissions, minus the umask. By default only the owner can read them.
    """

    def __init__(
        self,
        storage_class: str,
        location: str | os.PathLike[str],
        file_permissions_mode: int = 0o600,
        directory_permissions_mode: int = 0o700,
    ) -> None:
        super().__init__(storage_class)
        self.location = os.path.abspath(location)
        self._file_mode, self._directory_mode = file_permissions_mode, directory_permissions_mode
        #: Directories whose entries in their parents this process has synced.
        self._durable: set[str] = set()
        #: Open directories directly below the location, by name.
        self._handles: dict[str, Handle] = {}
        with self._telling("make", ""):
            if not os.path.isdir(self.location):
                os.makedirs(self.location, mode=directory_permissions_mode, exist_ok=True)
                _sync_path(os.path.dirname(self.location))

    def _open_directory(self, first: str, *steps: str, make: bool = False) -> int:
        """Open the directory at this path below the location, following no link; durably create it if `make`."""
        handle = self._handle(first, make)
        directory = os.dup(handle.directory)
        path = first
        for step in steps:
            above, path = directory, f"{path}/{step}"
            try:
                directory = self._open_step(above, step, path, make)
            finally:
                os.close(above)
        return directory

    def _handle(self, name: str, make: bool) -> "Handle":
        """Return an open directory directly below the location.

        It stays open, because opening it for each file would be half the work.
        """
        handle = self._handles.get(name)
        if handle is not None and os.fstat(handle.directory).st_nlink:
            return handle
        location = os.open(self.location, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            handle = Handle(self._open_step(location, name, name, make))
        finally:
            os.close(location)
        while len(self._handles) >= HANDLES:
            self._handles.pop(next(iter(self._handles)), None)
        self._handles[name] = handle
        return handle

    def _open_step(self, above: int, step: str, path: str, make: bool) -> int:
        if make and path not in self._durable:
            _make_directory(above, step, self._directory_mode)
            self._durable.add(path)
        try:
            return os.open(step, OPEN_DIRECTORY, dir_fd=above)
        except FileNotFoundError:
            if not make:
                raise
            _make_directory(above, step, self._directory_mode)  # removed by another process
            return os.open(step, OPEN_DIRECTORY, dir_fd=above)

    def _list(self, *steps: str) -> list[str]:
        """Return the sorted names in a directory; an empty list if it is missing or not a directory."""
        with self._telling("list", "/".join(steps)), suppress(FileNotFoundError, NotADirectoryError):
            directory = self._open_directory(*steps)
            try:
                return sorted(os.listdir(directory))
            finally:
                os.close(directory)
        return []

    @contextmanager
    def _telling(self, doing: str, name: str) -> Iterator[None]:
        """Turn an OSError into a StorageError that says what could not be done, where, and why."""
        try:
            yield
        except OSError as error:
            raise StorageError(f"cannot {doing} {self._full_path(name)}: {error.strerror or error}") from error

    def _full_path(self, name: str) -> str:
        return os.path.join(self.location, name)


class Handle:
    """An open directory, closed when it is no longer used."""

    __slots__ = ("directory",)

    def __init__(self, directory: int) -> None:
        self.directory = directory

    def __del__(self) -> None:
        os.close(self.directory)


def _make_directory(above: int, step: str, mode: int) -> None:
    with suppress(FileExistsError):
        os.mkdir(step, mode, dir_fd=above)
    # Even if the directory existed: the process that created it may not have reached its own fsync yet.
    os.fsync(above)


def _sync_path(path: str) -> None:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
