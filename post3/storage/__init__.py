"""Storages: where the bytes of objects are kept, behind one small interface (`base.py`, `capabilities.py`)."""

from .base import BlobMissing, BlobRef, Pieces, RangePieces, Storage, StorageError, StoredName, Stream
from .capabilities import CatalogueResident, Describing
from .handler import UnknownStorageClass, storages

__all__ = [
    "BlobMissing",
    "BlobRef",
    "CatalogueResident",
    "Describing",
    "Pieces",
    "RangePieces",
    "Storage",
    "StorageError",
    "StoredName",
    "Stream",
    "UnknownStorageClass",
    "storages",
]
