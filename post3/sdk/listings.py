"""List buckets' contents with iterators that fetch a thousand keys at a time."""

from collections.abc import Iterator
from typing import Any

from .base import Calls
from .errors import refusals
from .values import Folder, ObjectEntry


class Listings(Calls):
    """Methods that list a bucket, in order of the keys' UTF-8 bytes. All raise NotFound if it is missing."""

    def list_objects(self, bucket: str, prefix: str = "", *, start_after: str = "") -> Iterator[ObjectEntry]:
        """Yield every object whose key begins with `prefix` and comes after `start_after`, however many there are."""
        for page in self._pages(bucket, prefix, start_after):
            yield from map(ObjectEntry.of, page.get("Contents", []))

    def list_folder(
        self, bucket: str, prefix: str = "", *, delimiter: str = "/", start_after: str = ""
    ) -> Iterator[ObjectEntry | Folder]:
        """Yield the entries directly below `prefix`, in order: each object, and one Folder per group of deeper keys."""
        for page in self._pages(bucket, prefix, start_after, delimiter):
            found: list[ObjectEntry | Folder] = [ObjectEntry.of(entry) for entry in page.get("Contents", [])]
            found += [Folder(entry["Prefix"]) for entry in page.get("CommonPrefixes", [])]
            yield from sorted(found, key=_place)

    def list_prefixes(self, bucket: str, prefix: str = "", *, delimiter: str = "/") -> Iterator[str]:
        """Yield only the prefixes directly below `prefix`: `2025/`, `2026/`."""
        for page in self._pages(bucket, prefix, "", delimiter):
            yield from (entry["Prefix"] for entry in page.get("CommonPrefixes", []))

    def _pages(self, bucket: str, prefix: str, start_after: str, delimiter: str = "") -> Iterator[dict[str, Any]]:
        arguments = {"Bucket": bucket, "Prefix": prefix, "StartAfter": start_after, "Delimiter": delimiter}
        with refusals():
            yield from self.s3.get_paginator("list_objects_v2").paginate(
                **{name: text for name, text in arguments.items() if text}
            )


def _place(found: ObjectEntry | Folder) -> bytes:
    return (found.prefix if isinstance(found, Folder) else found.key).encode()
