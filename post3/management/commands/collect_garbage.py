"""`manage.py collect_garbage`: run one garbage collection pass, as `run_worker` does continuously."""

from typing import Any

from ...maintenance import garbage
from ..base import StoreCommand


class Command(StoreCommand):
    help = "Remove released bytes and abandoned uploads once, and print the number of removed items."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(str(garbage.collect_garbage()))
