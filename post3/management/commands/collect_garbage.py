"""`manage.py collect_garbage`: run one garbage collection pass, as `run_worker` does continuously."""

from typing import Any

from ...maintenance import garbage
from ..base import StoreCommand


class Command(StoreCommand):
    help = "Collect released bytes and abandoned uploads once, and print how many things were done."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(str(garbage.collect_garbage()))
