"""The configured storages, by storage class: `storages["STANDARD"]`.

Like Django's `storages` and `caches`, each storage is built from its dotted path on first use and kept for the lifetime
of the process.
"""

import threading
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed
from django.utils.module_loading import import_string

from post3.conf import conf

from .base import Storage, StorageError


class UnknownStorageClass(StorageError):
    """No storage is configured for that storage class."""


class StorageHandler:
    """A mapping of storage class to storage, built lazily from `POST3_STORAGES`; safe to use from all threads."""

    def __init__(self) -> None:
        self._storages: dict[str, Storage] = {}
        # Reentrant, because building a storage imports modules that may request a storage themselves.
        self._lock = threading.RLock()

    def __getitem__(self, storage_class: str) -> Storage:
        """Return the storage of that class. Raises UnknownStorageClass, ImproperlyConfigured, or a storage's errors."""
        storage = self._storages.get(storage_class)
        if storage is not None:
            return storage
        with self._lock:
            if storage_class not in self._storages:
                self._storages[storage_class] = self._build(storage_class)
            return self._storages[storage_class]

    def __contains__(self, storage_class: str) -> bool:
        return storage_class in conf.STORAGES

    def classes(self) -> list[str]:
        """Return the names of the configured storage classes."""
        return list(conf.STORAGES)

    def reset(self) -> None:
        """Drop the storages built so far; the next use builds them from the settings at that time."""
        with self._lock:
            self._storages = {}

    def _build(self, storage_class: str) -> Storage:
        if storage_class not in conf.STORAGES:
            raise UnknownStorageClass(f"no storage is configured for the storage class {storage_class!r}")
        parameters = conf.STORAGES[storage_class]
        try:
            backend = import_string(parameters["BACKEND"])
        except KeyError:
            raise ImproperlyConfigured(f"POST3_STORAGES[{storage_class!r}] has no BACKEND") from None
        except ImportError as error:
            raise ImproperlyConfigured(f"POST3_STORAGES[{storage_class!r}]: {error}") from error
        storage: Storage = backend(storage_class, **parameters.get("OPTIONS", {}))
        return storage


storages = StorageHandler()


def _reset_storages(*, setting: str, **kwargs: Any) -> None:
    if setting == "POST3_STORAGES":
        storages.reset()


setting_changed.connect(_reset_storages)
