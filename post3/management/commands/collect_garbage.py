"""`manage.py collect_garbage`: one pass of what `run_worker` does all the time."""

from typing import Any

from django.core.management.base import BaseCommand

from ...services import garbage


class Command(BaseCommand):
    help = "Collect released bytes and abandoned uploads once, and print how many things were done."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(str(garbage.collect_garbage()))
