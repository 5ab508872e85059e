"""Orphans: what a storage holds and the catalogue does not know.

First all names that are old enough are gone through and kept in a temporary SQLite file (some 100 bytes each), then the
catalogue's names are struck off. In this order nothing that is published meanwhile can look like an orphan; and no index of
names, which each PUT would pay for, is needed. What is left is looked at again a little later, for who deletes tells the
catalogue first and the storage then.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from ..models import Blob, Object
from ..storage.base import BlobRef, Storage, StoredName

BATCH = 500
#: Seconds a deletion may be behind the catalogue.
RECHECK_DELAY = 2.0


class Counted(Protocol):
    """Where it is counted what was seen."""

    young: int
    held: int


def find(storage: Storage, min_age: float, counts: Counted, tell: Callable[[str, int, int], None]) -> Iterator[StoredName]:
    """Yield what a storage holds for longer than `min_age` seconds and nothing knows of. Raises StorageError."""
    names = sqlite3.connect("")  # a file of its own, in the system's temporary directory once it outgrows memory
    try:
        names.execute("CREATE TABLE held (name, description, id, size, PRIMARY KEY (name, description)) WITHOUT ROWID")
        limit = time.time() - min_age
        for held in storage.walk():
            if held.is_foreign:  # a person put it there
                continue
            counts.held += 1
            tell("names in storage", counts.held, 0)
            if held.written_at > limit:
                counts.young += 1
            else:
                row = (held.name or str(held.id), held.is_description, held.id, held.size)
                names.execute("INSERT OR REPLACE INTO held VALUES (?, ?, ?, ?)", row)
        _strike_off(names)
        if names.execute("SELECT 1 FROM held LIMIT 1").fetchone():
            time.sleep(RECHECK_DELAY)
        for name, description, blob_id, size in names.execute("SELECT name, description, id, size FROM held"):
            held = StoredName(blob_id, "" if blob_id else name, size, 0.0, bool(description))
            if _is_there(storage, held):
                yield held
    finally:
        names.close()


def _strike_off(names: sqlite3.Connection) -> None:
    """Delete what the catalogue knows from the names."""
    for model, field, description in ((Blob, "name", False), (Object, "sidecar", True)):
        last = 0
        while rows := list(model.objects.filter(pk__gt=last).order_by("pk").values_list("pk", field)[:BATCH]):
            known = [(name or str(pk), description) for pk, name in rows]
            names.executemany("DELETE FROM held WHERE name = ? AND description = ?", known)
            last = rows[-1][0]


def _is_there(storage: Storage, held: StoredName) -> bool:
    name = f"{held.name}.json" if held.is_description else held.name
    return storage.measure([BlobRef(held.id, name, 0, 0)]) != [None]


def remove(storage: Storage, held: StoredName) -> bool:
    """Remove an orphan, unless the catalogue knows of it by now. Return whether it is gone. Raises StorageError."""
    known: Any = Object.objects.filter(sidecar=held.name) if held.is_description else Blob.objects.filter(name=held.name)
    if (Blob.objects.filter(pk=held.id) if held.id else known).exists():
        return False
    if held.is_description:
        storage.delete_sidecar(held.name)
    else:
        storage.delete(BlobRef(held.id, held.name, 0, 0))
    return True
