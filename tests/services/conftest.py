"""The stores of `tests/stores.py` as fixtures."""

from ..stores import lose, store, tree

__all__ = ["lose", "store", "tree"]
