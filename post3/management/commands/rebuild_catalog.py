"""`manage.py rebuild_catalog`: rebuild a lost catalogue from the description files stored next to the bytes."""

import json
import time
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import DatabaseError, InterfaceError

from ...maintenance.rebuild.owners import OwnerMismatch
from ...maintenance.rebuild.rebuilding import Fault, Rebuild, RebuildRefused, rebuild_catalog
from ...maintenance.rebuild.rows import RebuildCounts
from ...storage.base import MIB, StorageError
from ...visible import visible
from ..base import StoreCommand, counted

#: Exit status if something could not be restored. Status 1 means that the rebuild failed.
LOST = 2
#: Seconds between two progress lines.
INTERVAL = 5.0
#: Maximum number of faults listed in the JSON object. All faults are counted.
NAMED = 1000


class Command(StoreCommand):
    help = (
        "Rebuild the catalogue from the directory of a file storage: buckets, objects, their metadata and owners. Start with an "
        "empty, migrated catalogue and no running server. Run the command again after an interruption to resume it. Exit "
        "status: 0 everything was restored; 1 the rebuild failed; 2 something was not restored and is listed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--verify", action="store_true", help="read all bytes and compare their checksums")
        parser.add_argument("--merge", action="store_true", help="add what is missing or newer to a catalogue that is not empty")
        parser.add_argument("--json", action="store_true", help="print one JSON object at the end instead of lines")

    def handle(self, *args: Any, **options: Any) -> None:
        self._began = time.monotonic()
        self._next = self._began + INTERVAL
        self._faults: list[Fault] = []
        tell = self._keep if options["json"] else self._tell
        rebuild = Rebuild(options["verify"], options["merge"], tell, self._progress)
        try:
            rebuild_catalog(rebuild)
        except (RebuildRefused, OwnerMismatch) as error:
            raise CommandError(visible(str(error))) from None
        except (DatabaseError, InterfaceError, StorageError) as error:
            raise CommandError(visible(f"The rebuild could not be finished; run it again: {error}")) from error
        if options["json"]:
            faults = [{"name": fault.name, "reason": fault.reason, "is_loss": fault.is_loss} for fault in self._faults]
            self.stdout.write(json.dumps({**rebuild.as_dict(), "faults": faults}))
        else:
            self._summarise(rebuild)
        if rebuild.counts.lost:
            raise SystemExit(LOST)

    def _tell(self, fault: Fault) -> None:
        self.stdout.write(visible(f"{fault.name}: {fault.reason}"))

    def _keep(self, fault: Fault) -> None:
        if len(self._faults) < NAMED:
            self._faults.append(fault)

    def _progress(self, counts: RebuildCounts) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + INTERVAL
        seconds = now - self._began
        verified = f", {counts.verified / MIB:,.0f} MiB verified" if counts.verified else ""
        count = counts.as_dict()["objects"]
        line = f"{counted(count, 'object')} ({count / seconds:,.0f}/s){verified} after {seconds:,.0f} s"
        self.stderr.write(line, style_func=str)

    def _summarise(self, rebuild: Rebuild) -> None:
        counts, seconds = rebuild.counts, time.monotonic() - self._began
        made = ", ".join(counted(counts.as_dict()[f"{noun}s"], noun) for noun in ("bucket", "object", "blob"))
        self.stdout.write(f"Restored {made} and {counted(len(rebuild.users), 'user')} in {seconds:,.1f} s")
        if counts.verified:
            self.stdout.write(f"{counts.verified / MIB:,.1f} MiB were read and verified")
        if counts.known or counts.superseded:
            known, superseded = counted(counts.known, "object"), counted(counts.superseded, "description")
            self.stdout.write(f"{known} existed already; {superseded} superseded")
        if rebuild.users:
            names = ", ".join(sorted(rebuild.users.values()))
            self.stdout.write(visible(f"Users created without passwords, permissions or API keys: {names}"))
            self.stdout.write("Create new API keys for them: create_api_key --user NAME")
        self.stdout.write(f"{counted(counts.lost, 'item')} not fully restored" if counts.lost else "Everything was restored")
