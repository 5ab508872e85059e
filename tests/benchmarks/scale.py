"""Test whether cost grows with the amount of stored data.

    python -m tests.benchmarks.scale [--objects 5000000] [--keys 10000000] [--output docs/benchmarks]

On a private PostgreSQL cluster, measures the same operations on a bucket of 1,000 objects, first while it is the only
one, then alternately with a bucket of `--objects`; a listing of three prefixes over `--keys`; pages of the console;
completing an upload of 1,000 parts; a copy of 5 GiB. Writes `scale.json`, `scale.md` and `explain-delimiter.txt`.
"""

import argparse
import time
from pathlib import Path
from typing import Any

from tests.interrupts import run_program
from tests.servers import Server

from . import growth, single
from .filling import Filling, fill, settle
from .stand import OUTPUT, Line, Table, ask, facts_of, say, serving, show, write

#: Prefixes below each top-level prefix, and thus entries in a listing with a delimiter.
SUBS = 100
SMALL, MOST_TOPS = 1000, 1000
BIG_TABLES = ("post3_object", "post3_blob", "post3_block", "post3_objectmetadata", "post3_objectpart", "post3_uploadpart")


def main(arguments: list[str]) -> int:
    """Measure and report. Return 1 if a target was missed."""
    options = _options(arguments)
    tops = min(MOST_TOPS, options.objects // SUBS)
    objects = options.objects // (tops * SUBS) * tops * SUBS
    in_order = not options.scattered
    small = Filling("small", SMALL, SMALL // SUBS, SUBS, SMALL, in_order)
    large = Filling("large", objects, tops, SUBS, min(objects, options.bodies), in_order)
    prefixes = Filling("prefixes", options.keys // 3 * 3, 3, 1, 0, in_order)
    console_user = {f"DJANGO_SUPERUSER_{name}": text for name, text in (("USERNAME", single.USER), ("PASSWORD", single.PASSWORD))}
    with serving({**console_user, "DJANGO_SUPERUSER_EMAIL": "admin@example.com"}) as server:
        facts = facts_of(server)
        server.manage("createsuperuser", "--no-input")
        tables, data = _measure(server, options, small, large, prefixes)
        server.stop()  # sessions report their scans when they end, at the latest
        tables.append(_scans(server, data))
        show(tables[-1])
    write(options.output, "scale", "Cost and the amount of stored data", facts, tables, data)
    return 0 if all(line.met is not False for table in tables for line in table.lines) else 1


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.scale", description=__doc__.split("\n")[0])
    parser.add_argument("--objects", type=int, default=5_000_000, help="objects of the large bucket")
    parser.add_argument("--keys", type=int, default=10_000_000, help="keys under the three prefixes")
    parser.add_argument("--bodies", type=int, default=50_000, help="objects of the large bucket that have bytes")
    parser.add_argument("--scattered", action="store_true", help="store rows in random order of their keys, which takes longer")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="duration of each measurement")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args(arguments)
    if options.objects < SMALL or options.keys < 3:
        parser.error(f"--objects must be at least {SMALL}, --keys at least 3")
    return options


def _measure(
    server: Server, options: argparse.Namespace, small: Filling, large: Filling, prefixes: Filling
) -> tuple[list[Table], dict[str, Any]]:
    client, url = server.client(), server.environment["DATABASE_URL"]
    for filling in (small, large, prefixes):
        client.create_bucket(Bucket=filling.bucket)
    fill(url, small)
    settle(url)
    alone = growth.measure([growth.Side(server, small, options.seconds)], options.rounds)
    start = time.perf_counter()
    fill(url, large)
    fill(url, prefixes)
    loaded = time.perf_counter() - start
    settle(url)
    say(f"{large.objects + prefixes.objects:,} rows in {loaded:,.0f} s, settled in {time.perf_counter() - start - loaded:,.0f} s")
    both = growth.measure([growth.Side(server, filling, options.seconds) for filling in (small, large)], options.rounds)
    tables = [growth.table(alone, both)]
    order = "in the order of their keys" if large.in_order else "in random order"
    tables[0].notes.append(
        f"The small bucket has {small.objects:,} objects, the large one {large.objects:,}. GET, HEAD and overwriting PUT "
        f"choose at random among {large.bodies:,} of these, which have 4 KiB. Rows are stored {order}. "
        f"The same tables contain {prefixes.objects:,} keys of a third bucket."
    )
    show(tables[0])
    lines = single.console(server, large)
    uploads, sizes = single.multipart(server)
    lines += [*uploads, single.root_listing(server, prefixes)]
    plan = single.explain(server, prefixes)
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "explain-delimiter.txt").write_text(plan)
    summary = single.summary_of(plan)
    pages, scans = summary["pages_prepared"], summary["sequential_scans"]
    what = f"The same: pages of the database touched, with {scans} sequential scans in its plan"
    lines.append(Line(what, {"pages": pages}, "under 100, none", pages < 100 and not scans))
    tables.append(Table("Single operations", lines, [_moved(sizes)]))
    show(tables[1])
    counts = {"small": small.objects, "large": large.objects, "prefixes": prefixes.objects, "with_bytes": large.bodies}
    data = {"objects": counts, "loaded_in_seconds": loaded, "alone": alone, "both": both, "plan": summary, "sizes": sizes}
    return tables, data


def _moved(sizes: dict[str, Any]) -> str:
    before, after = ({name: f"{size / 1e6:,.1f} MB" for name, size in sizes[when].items()} for when in ("before", "after"))
    return (
        f"Before {sizes['copies']} copies of 5 GiB the database had {before['database']}, and after them {after['database']}; "
        f"its blocks had {before['blocks']} and {after['blocks']}."
    )


def _scans(server: Server, data: dict[str, Any]) -> Table:
    """Return a table of the rows that sequential scans have read since the buckets were filled."""
    statement = (
        "SELECT relname, seq_scan, seq_tup_read, idx_scan FROM pg_stat_user_tables WHERE relname = ANY(%s) ORDER BY relname"
    )
    time.sleep(1)
    table = Table("Scans of the large tables during the test", notes=["Each readiness probe reads one row of post3_block."])
    data["scans"] = {}
    for name, scans, rows, by_index in ask(server, statement, [list(BIG_TABLES)]):
        data["scans"][name] = {"sequential": scans, "rows": rows, "by_index": by_index}
        figures = {"sequential": scans, "rows read by these": rows, "by an index": by_index or 0}
        table.lines.append(Line(name, figures, "under 1,000 rows", rows < 1000))
    return table


if __name__ == "__main__":
    run_program(main)
