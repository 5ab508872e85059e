"""Shared by the long benchmarks: a server on a private cluster, rates, memory, and tables of results."""

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import psycopg

from tests.cluster import create_database, private_cluster
from tests.servers import ROOT, Server

from .load import Outcome, Request, run
from .processes import filesystem_of
from .report import machine, paragraph, short
from .signer import Signer

CONNECTIONS = 8
OUTPUT = ROOT / "docs" / "benchmarks"
#: Settings of a small production cluster. fsync is on, as it is by default.
CLUSTER = {"shared_buffers": "512MB", "max_wal_size": "4GB", "fsync": "on"}


@contextlib.contextmanager
def serving(environment: Mapping[str, str]) -> Iterator[Server]:
    """Serve post3 under gunicorn, with blocks in PostgreSQL. Always stop the server and the cluster."""
    with private_cluster(CLUSTER) as url, tempfile.TemporaryDirectory(prefix="post3-benchmark-") as directory:
        given = {"DATABASE_URL": create_database(url), **environment}
        server = Server(Path(directory), given, runner="gunicorn-asgi", anew=True)  # as in production
        try:
            server.start()
            yield server
        finally:
            server.stop()


def signer_of(server: Server) -> Signer:
    """Return a signer with this server's key."""
    return Signer(server.host, server.port, server.access_key, server.secret_key)


def send(server: Server, requests: Sequence[Request], **limits: Any) -> Outcome:
    """Send requests, on 8 connections by default.

    Raises RuntimeError on any error, which would make the time meaningless.
    """
    outcome = run(server.host, server.port, requests, limits.pop("connections", CONNECTIONS), **limits)
    if outcome.errors:
        raise RuntimeError(f"{outcome.errors} of {outcome.operations + outcome.errors} requests failed: {outcome.first_error}")
    return outcome


def ask(server: Server, statement: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Query the server's database."""
    with psycopg.connect(server.environment["DATABASE_URL"], autocommit=True) as connection:
        return connection.execute(statement, parameters).fetchall()


def tree(pid: int) -> Iterator[int]:
    """Yield a process and all its descendants."""
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # it has terminated meanwhile
            for child in children.read_text().split():
                yield from tree(int(child))


def resident(pid: int) -> int:
    """Return the resident bytes of a process and its descendants. Shared pages count for each."""
    total = 0
    for process in tree(pid):
        with contextlib.suppress(OSError):
            total += int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return total


@dataclass(slots=True)
class Line:
    """One line of the result: figures by column, and whether the target was met (None if there is no target)."""

    what: str
    figures: dict[str, float | str]
    target: str = ""
    met: bool | None = None


@dataclass(slots=True)
class Table:
    title: str
    lines: list[Line] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def markdown(self) -> str:
        columns = list(dict.fromkeys(name for line in self.lines for name in line.figures))
        rows = [["", *columns, "target", "met"]]
        for line in self.lines:
            verdict = "" if line.met is None else "yes" if line.met else "NO"
            rows.append([line.what, *(_text(line.figures.get(name, "")) for name in columns), line.target, verdict])
        widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
        texts = [
            [row[0].ljust(widths[0]), *(text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True))]
            for row in rows
        ]
        rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
        lines = ["| " + " | ".join(row) + " |" for row in (texts[0], rule, *texts[1:])]
        return "\n".join([f"## {self.title}", "", *lines, "", *(f"{paragraph(note)}\n" for note in self.notes)])


def _text(value: float | str) -> str:
    return value if isinstance(value, str) else short(value)


def rates(name: str, rounds: Sequence[Outcome]) -> dict[str, Any]:
    """Return the figures of some rounds, as in the JSON file."""
    return {
        "name": name,
        "rate": median(outcome.rate for outcome in rounds),
        "rounds": [asdict(outcome) | {"rate": outcome.rate} for outcome in rounds],
    }


def write(output: Path, name: str, heading: str, facts: dict[str, Any], tables: Sequence[Table], data: dict[str, Any]) -> None:
    """Write `<name>.json` and `<name>.md`."""
    output.mkdir(parents=True, exist_ok=True)
    result = {"machine": facts, **data, "tables": [asdict(table) for table in tables]}
    (output / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    told = ", ".join(f"{key.replace('_', ' ')} {value}" for key, value in facts.items())
    about = f"Generated by `python -m tests.benchmarks.{name}`: {told}. Client, server and database share the machine."
    text = "\n".join([f"# {heading}", "", paragraph(about), "", *(table.markdown() for table in tables)])
    (output / f"{name}.md").write_text(text.rstrip() + "\n")


def show(table: Table) -> None:
    """Print a table as soon as it is complete."""
    print(table.markdown(), flush=True)


def say(text: str) -> None:
    """Report progress on standard error, separately from the result."""
    print(text, file=sys.stderr, flush=True)


def facts_of(server: Server) -> dict[str, Any]:
    """Return the facts that the figures depend on."""
    version = ask(server, "SHOW server_version")[0][0].split()[0]
    return {**machine(version, filesystem_of(server.data_dir)), **CLUSTER}
