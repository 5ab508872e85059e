"""A storage that keeps one file per blob, in directories that can be read without the catalogue."""

from .storage import FilesystemStorage

__all__ = ["FilesystemStorage"]
