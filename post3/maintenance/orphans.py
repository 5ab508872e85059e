"""Find orphans: stored bytes and descriptions that the catalogue does not know.

First, all names that are old enough are read from the storage and kept in a temporary SQLite file (about 100 bytes
each). Then the catalogue's names are removed from it. In this order nothing published meanwhile can look like an
orphan, and no index of names is needed, which would slow down every PUT. The remaining names are checked again a little
later, because a deletion changes the catalogue first and the storage second.
"""

import sqlite3
import time
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from ..models import Blob, Object
from ..storage.base import BlobMissing, BlobRef, Storage, StorageError, StoredName
from ..storage.capabilities import Describing

BATCH = 500
#: Seconds that a storage's deletion may lag behind the catalogue.
RECHECK_DELAY = 2.0


class Counted(Protocol):
    """Counters of the names that were read."""

    young: int
    held: int


def find(storage: Storage, min_age: float, counts: Counted, tell: Callable[[str, int, int], None]) -> Iterator[StoredName]:
    """Yield names that a storage has held for over `min_age` seconds, unknown to the catalogue. Raises StorageError."""
    names = sqlite3.connect("")  # private; moves to a temporary file when it outgrows memory
    try:
        names.execute("CREATE TABLE held (name, description, id, size, PRIMARY KEY (name, description)) WITHOUT ROWID")
        limit = time.time() - min_age
        for held in storage.walk():
            if held.is_foreign:  # not created by post3
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
    """Delete the names that the catalogue knows."""
    for model, field, description in ((Blob, "name", False), (Object, "sidecar", True)):
        last = 0
        while rows := list(model.objects.filter(pk__gt=last).order_by("pk").values_list("pk", field)[:BATCH]):
            known = [(name or str(pk), description) for pk, name in rows]
            names.executemany("DELETE FROM held WHERE name = ? AND description = ?", known)
            last = rows[-1][0]


def _is_there(storage: Storage, held: StoredName) -> bool:
    if not held.is_description:
        return storage.measure([BlobRef(held.id, held.name, held.size, 0)]) != [None]
    assert isinstance(storage, Describing)
    try:
        storage.read_sidecar(held.name)
    except BlobMissing:
        return False
    except StorageError:
        return True  # it is there, but cannot be read
    return True


def remove(storage: Storage, held: StoredName) -> bool:
    """Remove an orphan unless the catalogue knows it by now. Return whether it was removed. Raises StorageError."""
    known: Any = Object.objects.filter(sidecar=held.name) if held.is_description else Blob.objects.filter(name=held.name)
    if (Blob.objects.filter(pk=held.id) if held.id else known).exists():
        return False
    if held.is_description:
        assert isinstance(storage, Describing)
        storage.delete_sidecar(held.name)
    else:
        storage.delete(BlobRef(held.id, held.name, 0, 0))
    return True
