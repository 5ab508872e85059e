"""Rebuild the catalogue in process, and read the descriptions it is rebuilt from."""

import json
from pathlib import Path
from typing import Any

from post3.maintenance.rebuild.rebuilding import Fault, Rebuild, rebuild_catalog
from post3.models import Object

from ..stores import Store


class Report(list[Fault]):
    """The faults a rebuild reported, and its counts."""

    def __init__(self, *, verify: bool = False, merge: bool = False) -> None:
        self.rebuild = Rebuild(verify, merge, self.append, lambda counts: None)
        rebuild_catalog(self.rebuild)
        self.counts, self.users = self.rebuild.counts, self.rebuild.users

    @property
    def reasons(self) -> list[str]:
        return [fault.reason for fault in self]


def sidecar_of(tree: Store, key: str) -> Path:
    return Path(tree.directory, Object.objects.get(key=key).sidecar + ".json")


def rewrite(path: Path, **values: Any) -> None:
    """Change values of a description. None removes a value."""
    document = {**json.loads(path.read_bytes()), **values}
    path.write_text(json.dumps({name: value for name, value in document.items() if value is not None}))
