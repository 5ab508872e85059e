"""Migrated catalogues with an API key. Each server of the tests gets a copy.

Migrating and creating a key takes two processes and some seconds, hundreds of times. Tests of these steps ask for a
fresh catalogue.
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .cluster import create_database, drop_database
from .servers import Server

#: Settings on which a catalogue depends. A server with one of them creates its own catalogue.
DECISIVE = {"DATABASE_URL", "POST3_DATA_DIR", "POST3_SECRET_KEY"}


class Prepared:
    """The prepared catalogues of a session, each created when it is first needed."""

    def __init__(self, directory: Path, postgresql_url: str) -> None:
        self._directory, self._postgresql_url = directory, postgresql_url
        self._servers: dict[str, Server] = {}

    def make(
        self, kind: str, data_dir: Path, environment: dict[str, str], *, fresh: bool = False, **arguments: Any
    ) -> tuple[Server, str]:
        """Return a server that is not started, with its own catalogue, and the URL of the database to drop afterwards.

        `fresh`: create the catalogue with the server's own settings instead of copying one.
        """
        is_usual, url = not (fresh or environment.keys() & DECISIVE), ""
        if kind.startswith("postgresql"):
            template = f"TEMPLATE {urlsplit(self._template(kind).environment['DATABASE_URL']).path[1:]}" if is_usual else ""
            url = environment["DATABASE_URL"] = create_database(self._postgresql_url, template)
        server = Server(data_dir, environment, **arguments)
        if is_usual:
            template_server = self._template(kind)
            server.access_key, server.secret_key = template_server.access_key, template_server.secret_key
            if not url:
                shutil.copytree(template_server.environment["POST3_DATA_DIR"], server.environment["POST3_DATA_DIR"])
        else:
            server.prepare()
        return server, url

    def _template(self, kind: str) -> Server:
        kind = "postgresql" if kind.startswith("postgresql") else "sqlite"
        if kind not in self._servers:
            environment = {"DATABASE_URL": create_database(self._postgresql_url)} if kind == "postgresql" else {}
            (self._directory / kind).mkdir()
            self._servers[kind] = Server(self._directory / kind, environment)
            self._servers[kind].prepare()
        return self._servers[kind]

    def drop(self) -> None:
        if "postgresql" in self._servers:
            drop_database(self._postgresql_url, self._servers["postgresql"].environment["DATABASE_URL"])


@contextmanager
def prepared_catalogues(postgresql_url: str) -> Iterator[Prepared]:
    """Yield the prepared catalogues, and remove them at the end."""
    with tempfile.TemporaryDirectory(prefix="post3-prepared-") as directory:
        prepared = Prepared(Path(directory), postgresql_url)
        try:
            yield prepared
        finally:
            prepared.drop()
