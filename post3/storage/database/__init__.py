"""A storage that keeps bytes in the catalogue's database, in rows of 1 MiB blocks."""

from .blocks import DatabaseStorage

__all__ = ["DatabaseStorage"]
