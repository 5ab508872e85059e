"""Blocks of 1 MiB in rows of the catalogue's database."""

from .blocks import DatabaseStorage

__all__ = ["DatabaseStorage"]
