"""`manage.py rebuild_catalog`: a lost catalogue from a file system storage's tree alone."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from ...services import buckets, rebuilding
from ...storage import StorageError


class Command(BaseCommand):
    help = "Fill an empty catalogue from the descriptions beside the files. Exit status 2: something was left out."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--verify", action="store_true", help="read every byte, and leave out what is not what was stored")
        parser.add_argument("--json", action="store_true", help="print the result as JSON")
        parser.add_argument(
            "--describe", action="store_true", help="the other way: write the descriptions of the catalogue's buckets again"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["describe"]:
                self.stdout.write(f"{buckets.describe_buckets()} buckets described")
                return
            done = rebuilding.rebuild(options["verify"], self._report, self._progress)
        except rebuilding.CatalogueNotEmpty:
            raise CommandError("The catalogue holds buckets, objects or blobs already; rebuild into an empty one.") from None
        except rebuilding.NothingDescribes:
            raise CommandError("No storage in POST3_STORAGES keeps descriptions; restore the database's backup.") from None
        except StorageError as error:
            raise CommandError(str(error)) from error
        told = asdict(done)
        if options["json"]:
            self.stdout.write(json.dumps(told))
        else:
            self.stdout.write(
                "{buckets} buckets, {objects} objects, {blobs} blobs, {bytes} bytes; {damaged} descriptions left out, "
                "{older} older ones".format(**told)
            )
            if done.guessed_buckets:
                self.stdout.write(f"Made from their objects, having no description: {', '.join(done.guessed_buckets)}")
            if done.users:
                self.stdout.write(f"Users made again; give them API keys (create_api_key): {', '.join(done.users)}")
        if done.damaged:
            raise SystemExit(2)

    def _report(self, line: str) -> None:
        self.stderr.write(line)

    def _progress(self, done: rebuilding.Rebuilt) -> None:
        count = asdict(done)["objects"]
        if count % 10_000 < rebuilding.BATCH <= count:
            self.stderr.write(f"{count} objects so far")
