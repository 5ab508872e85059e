"""The size of the table of objects while small bodies, which are in its rows, are overwritten as fast as possible.

    python -m tests.benchmarks.overwriting [--objects 50000] [--size 8192] [--seconds 300]

Uses PostgreSQL with blocks. The size is printed every ten seconds. It must stop growing, with autovacuum alone: the
worker does not delete bytes in rows.
"""

import argparse
import hashlib
import random
import time

from tests.interrupts import run_program
from tests.servers import Server

from .load import Request, run
from .stand import ask, say, send, serving, signer_of

MIB = 1 << 20
BUCKET = "overwriting"
#: Rows and their TOAST table, which has the bytes, without indexes.
SIZE = "SELECT pg_table_size('post3_object')"
#: Of the table and its TOAST table: how often autovacuum has finished, and the dead rows that are left.
VACUUMED = (
    "SELECT sum(autovacuum_count), sum(n_dead_tup) FROM pg_stat_all_tables WHERE relid IN "
    "(SELECT unnest(ARRAY[oid, reltoastrelid]) FROM pg_class WHERE oid = 'post3_object'::regclass)"
)


def puts(server: Server, numbers: range | list[int], size: int) -> list[Request]:
    signer, made = signer_of(server), []
    body = random.randbytes(size)
    digest = hashlib.sha256(body).hexdigest()
    for number in numbers:
        made.append(Request(signer.head("PUT", f"/{BUCKET}/{number}", None, digest, size), body, length=0))
    return made


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.overwriting", description=__doc__.split("\n")[0])
    parser.add_argument("--objects", type=int, default=50_000)
    parser.add_argument("--size", type=int, default=8192)
    parser.add_argument("--seconds", type=float, default=300)
    options = parser.parse_args(arguments)
    with serving({}) as server:
        server.client().create_bucket(Bucket=BUCKET)
        for first in range(0, options.objects, 5000):
            send(server, puts(server, range(first, min(first + 5000, options.objects)), options.size))
        say(f"{options.objects} objects of {options.size} bytes: {ask(server, SIZE)[0][0] / MIB:,.0f} MiB")
        began, overwritten = time.monotonic(), 0
        while (elapsed := time.monotonic() - began) < options.seconds:
            numbers = random.choices(range(options.objects), k=20_000)
            outcome = run(server.host, server.port, puts(server, numbers, options.size), 8, seconds=10)
            assert not outcome.errors, outcome.first_error
            overwritten += outcome.operations
            vacuums, dead = ask(server, VACUUMED)[0]
            written, size = overwritten * options.size / MIB, ask(server, SIZE)[0][0] / MIB
            say(
                f"{elapsed + 10:.0f} s, {outcome.rate:,.0f} overwrites per second, {written:,.0f} MiB in all: "
                f"{size:,.0f} MiB, {vacuums} vacuums, {dead} dead rows"
            )
    return 0


if __name__ == "__main__":
    run_program(main)
