"""`manage.py check_storage`: check that the catalogue and the stored bytes match. Its exit status suits cron jobs."""

import json
import sys
import time
from dataclasses import asdict
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import DatabaseError

from ...conf import conf
from ...maintenance.checking import Check, Finding
from ...storage.base import MIB, StorageError
from ...visible import visible
from ..base import StoreCommand

#: Seconds between two progress lines.
EVERY = 5.0
#: Younger bytes may belong to a PUT that has not committed yet. A repair never treats them as orphans.
LEAST_AGE_OF_A_REPAIR = 300.0

REMAINS, REPAIRED = 2, 3


class Command(StoreCommand):
    help = (
        "Compare the catalogue with the stored bytes, in both directions, while the server runs. Exit status: 0 no problems, "
        "1 the check failed, 2 problems remain, 3 problems were found and all were repaired."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--verify", action="store_true", help="read all bytes and compare their checksums")
        parser.add_argument(
            "--repair",
            action="store_true",
            help="remove bytes that nothing refers to, write missing descriptions, mark damaged blobs and set their bytes aside",
        )
        parser.add_argument("--json", action="store_true", help="print each finding as a line of JSON, and a summary at the end")
        parser.add_argument(
            "--min-age",
            type=float,
            metavar="SECONDS",
            help="treat younger bytes as uploads in progress (default: POST3_PENDING_UPLOAD_SECONDS)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        min_age = conf.PENDING_UPLOAD_SECONDS if options["min_age"] is None else options["min_age"]
        if not min_age >= 0:
            raise CommandError("--min-age must be at least 0 seconds.")
        if options["repair"] and min_age < LEAST_AGE_OF_A_REPAIR:
            raise CommandError(f"With --repair, --min-age must be at least {LEAST_AGE_OF_A_REPAIR:g} seconds.")
        self.shows_progress = options["verbosity"] > 1 or self.stderr.isatty()
        self.progress: tuple[str, float, int, float] = ("", 0.0, 0, 0.0)
        check = Check(verify=options["verify"], repair=options["repair"], min_age=min_age, tell=self._tell)
        kinds: dict[str, int] = {}
        remaining = 0
        try:
            for finding in check.run():
                kinds[finding.kind] = kinds.get(finding.kind, 0) + 1
                remaining += not finding.repaired
                self.stdout.write(json.dumps(asdict(finding)) if options["json"] else _line(finding))
        except (DatabaseError, StorageError, OSError) as error:
            raise CommandError(visible(f"The check was interrupted: {type(error).__name__}: {error}")) from error
        found = sum(kinds.values())
        sums = asdict(check.counts)
        if options["json"]:
            summary = {"summary": True, **sums, "found": kinds, "repaired": found - remaining, "remaining": remaining}
            self.stdout.write(json.dumps(summary))
        else:
            self.stdout.write(", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in sums.items()))
            self.stdout.write(f"{found} found, {found - remaining} repaired, {remaining} remain" if found else "no problems")
        if found:
            sys.exit(REMAINS if remaining else REPAIRED)

    def _tell(self, doing: str, done: int, total: int) -> None:
        """Write a progress line every few seconds, if standard error is a terminal or with `-v 2`."""
        if not self.shows_progress:
            return
        before, started, first, last = self.progress
        now = time.monotonic()
        if doing != before:
            self.progress = (doing, now, done, now)
        elif now - last >= EVERY:
            self.progress = (doing, started, first, now)
            self.stderr.write(progress_line(doing, done, total, (done - first) / (now - started)), style_func=str)


def progress_line(doing: str, done: int, total: int, rate: float) -> str:
    """Return a line like "Checked 300 of 4,000 blobs (120 blobs a second, 31 s left)". Bytes are given in MiB."""
    left = f", {max(total - done, 0) / rate:.0f} s left" if total and rate else ""
    if doing == "bytes":
        amount = f"{done / MIB:,.0f}{f' of {total / MIB:,.0f}' if total else ''} MiB"
        return f"Read {amount} ({rate / MIB:,.1f} MiB a second{left})"
    amount = f"{done:,}{f' of {total:,}' if total else ''} {doing}"
    return f"Checked {amount} ({rate:,.0f} {doing.split()[0]} a second{left})"


def _line(finding: Finding) -> str:
    whose = ", ".join(f"{bucket}/{key!r}" for bucket, key in finding.affected)
    repaired = " [repaired]" if finding.repaired else ""
    return visible(f"{finding.kind}: {finding.what}: {finding.detail}{f'; affects {whose}' if whose else ''}{repaired}")
