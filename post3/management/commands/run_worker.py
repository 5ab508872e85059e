"""`manage.py run_worker`: the background worker, which collects garbage until it is stopped.

Any number of workers may run at the same time. They share the work with `SKIP LOCKED`.
"""

import logging
import signal
import threading
from types import FrameType
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, close_old_connections

from ...checks import CATALOGUE
from ...maintenance import garbage, scrubbing
from ...services import buckets
from ...storage.base import StorageError
from ...telemetry import catalogue_figures
from ..base import StoreCommand, counted

logger = logging.getLogger(__name__)

#: Seconds to wait after the first failed pass. The pause doubles after each further failure, up to the maximum.
BACK_OFF, MAX_BACK_OFF = 1.0, 15.0


class Command(StoreCommand):
    help = (
        "Remove released bytes and abandoned uploads, and check for damage, until stopped by SIGTERM or Ctrl-C. "
        "Each pass that removes something is logged."
    )
    starts_without_database = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--interval", type=float, default=10.0, metavar="SECONDS", help="pause after an idle pass (default: 10)"
        )
        parser.add_argument("--once", action="store_true", help="run one pass and exit")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["interval"] > 0:
            raise CommandError("--interval must be more than 0 seconds.")
        self.check(tags=[CATALOGUE], databases=[DEFAULT_DB_ALIAS])
        if options["once"]:
            buckets.describe_buckets()
            count = garbage.collect_garbage()
            catalogue_figures.measure_storage()
            self.stdout.write(f"Pass finished: {counted(count, 'item')} removed.")
            return
        stopped = threading.Event()

        def stop(signum: int, frame: FrameType | None) -> None:
            # The pass ends after its current step. A second signal also interrupts the step, which is repeated later.
            signal.signal(signum, signal.SIG_DFL)
            stopped.set()

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        self._say(f"The worker is running, with a pass every {options['interval']:g} s while idle. Press Ctrl-C to stop it.")
        self._say(f"The worker has stopped: {counted(work(stopped, options['interval']), 'item')} removed.")

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()


def work(stopped: threading.Event, interval: float) -> int:
    """Run passes until `stopped` is set. Pause after an idle pass, and for longer after a failed pass.

    Each pass logs its results. Returns the number of blobs, uploads and leftovers that all passes removed.
    """
    back_off, described, removed = BACK_OFF, False, 0
    while not stopped.is_set():
        try:
            if not described:
                buckets.describe_buckets()
                described = True
            done = garbage.collect_garbage(stopped.wait)
            catalogue_figures.measure_storage_if_due()
            scrubbing.scrub()
        except (DatabaseError, InterfaceError, StorageError, OSError) as error:
            logger.error("Garbage collection failed, next try in %g s: %s: %s", back_off, type(error).__name__, error)
            close_old_connections()  # drops a broken connection
            stopped.wait(back_off)
            back_off = min(back_off * 2, MAX_BACK_OFF)
            continue
        back_off = BACK_OFF
        removed += done
        if not done:
            stopped.wait(interval)
    return removed
