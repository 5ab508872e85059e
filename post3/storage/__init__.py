"""Storages: where the bytes of objects are kept, behind one small interface (`base.py`)."""

from .base import BlobMissing, BlobRef, Storage, StorageError, StoredName, Stream
from .handler import UnknownStorageClass, storages

__all__ = ["BlobMissing", "BlobRef", "Storage", "StorageError", "StoredName", "Stream", "UnknownStorageClass", "storages"]
