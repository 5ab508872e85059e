"""The effect of the worker's deletions on others: rates before and while the blocks of a large object are deleted.

    python -m tests.benchmarks.deleting [--gib 5] [--seconds 3] [--rounds 3] [--churn 60]

Uses PostgreSQL with blocks and no grace period. While blocks are deleted, rounds with the worker running alternate with
rounds in which it is stopped (SIGSTOP), so that other load on the machine affects both. Then objects are overwritten
for `--churn` seconds, while the size of the database is printed every few seconds. It must stop growing.
"""

import argparse
import hashlib
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

from tests.interrupts import run_program
from tests.servers import ROOT, Server

from .load import Request, run
from .stand import ask, say, send, serving, signer_of

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30
BUCKET = "deleting"
PART = 64 * MIB
LEFT = "SELECT count(*) FROM post3_block b JOIN post3_blob p ON p.id = b.blob_id WHERE p.size > 8388608"
SIZES = "SELECT pg_database_size(current_database()), (SELECT sum(size) FROM post3_blob)"


@contextmanager
def worker_of(server: Server) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "manage.py", "run_worker", "--interval", "1"]
    worker = subprocess.Popen(command, cwd=ROOT, env=server.environment, stderr=subprocess.DEVNULL)
    try:
        yield worker
    finally:
        worker.send_signal(signal.SIGCONT)
        worker.terminate()
        worker.wait(30)


def requests_of(server: Server, method: str, count: int, size: int = 4 * KIB) -> list[Request]:
    """Return GETs of, or PUTs over, the same small objects. Signatures are valid for 15 minutes."""
    signer, made = signer_of(server), []
    for number in range(count):
        body = hashlib.shake_128(str(number).encode()).digest(size)
        path = f"/{BUCKET}/small/{size}/{number}"
        if method == "GET":
            made.append(Request(signer.head("GET", path), length=size))
        else:
            made.append(Request(signer.head("PUT", path, None, hashlib.sha256(body).hexdigest(), size), body, length=0))
    return made


def rate(server: Server, method: str, seconds: float) -> float:
    outcome = run(server.host, server.port, requests_of(server, method, 500), 8, seconds=seconds)
    assert not outcome.errors, outcome.first_error
    return outcome.rate


def upload(server: Server, size: int) -> None:
    s3 = server.client()
    whole = {"Bucket": BUCKET, "Key": "large"}
    upload_id = s3.create_multipart_upload(**whole)["UploadId"]
    body, parts = hashlib.shake_128(b"part").digest(PART), []
    for number in range(1, size // PART + 1):
        etag = s3.upload_part(**whole, UploadId=upload_id, PartNumber=number, Body=body)["ETag"]
        parts.append({"PartNumber": number, "ETag": etag})
    s3.complete_multipart_upload(**whole, UploadId=upload_id, MultipartUpload={"Parts": parts})


def delete(server: Server, seconds: float, rounds: int) -> None:
    methods = ("GET", "PUT")
    before = {method: [rate(server, method, seconds) for _ in range(rounds)] for method in methods}
    began = time.monotonic()
    server.client().delete_object(Bucket=BUCKET, Key="large")
    say(f"DELETE returned after {(time.monotonic() - began) * 1000:.1f} ms")
    with worker_of(server) as worker:
        while not ask(server, "SELECT count(*) FROM post3_blob WHERE state = 2")[0][0]:
            time.sleep(0.1)
        began, stopped = time.monotonic(), 0.0
        rates: dict[tuple[str, bool], list[float]] = {(method, at_work): [] for method in methods for at_work in (True, False)}
        while (left := ask(server, LEFT)[0][0]) > 300:
            for method in methods:
                rates[method, True].append(rate(server, method, seconds))
                worker.send_signal(signal.SIGSTOP)
                paused = time.monotonic()
                rates[method, False].append(rate(server, method, seconds))
                stopped += time.monotonic() - paused
                worker.send_signal(signal.SIGCONT)
            say(f"{left} blocks left; " + "; ".join(f"{key}: {values[-1]:,.0f}" for key, values in rates.items()))
        while ask(server, LEFT)[0][0]:
            time.sleep(0.5)
        say(f"deleted after {time.monotonic() - began - stopped:.0f} s of the worker's time")
    for method in methods:
        one, idle = median(rates[method, True]), median(rates[method, False])
        say(f"{method} 4 KiB per second: before {median(before[method]):,.0f}, worker stopped {idle:,.0f}, running {one:,.0f}")
        say(f"  ratio to stopped {one / idle:.2f}, to before {one / median(before[method]):.2f}")


def churn(server: Server, seconds: float) -> None:
    """Overwrite 200 objects of 4 KiB and 40 of 1 MiB repeatedly."""
    with worker_of(server):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            small = run(server.host, server.port, requests_of(server, "PUT", 200), 8, seconds=3)
            large = run(server.host, server.port, requests_of(server, "PUT", 40, MIB), 8, seconds=3)
            assert not small.errors + large.errors, small.first_error or large.first_error
            database, blobs = ask(server, SIZES)[0]
            say(
                f"{small.rate:,.0f} and {large.rate:,.0f} overwrites per second; "
                f"database {database / MIB:,.0f} MiB, blobs {int(blobs) / MIB:,.0f} MiB"
            )


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.deleting", description=__doc__.split("\n")[0])
    parser.add_argument("--gib", type=float, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--churn", type=float, default=60)
    options = parser.parse_args(arguments)
    if options.gib < 1:
        parser.error("--gib must be at least 1, or the object is deleted before anything is measured")
    with serving({"POST3_GARBAGE_GRACE_SECONDS": "0"}) as server:
        server.client().create_bucket(Bucket=BUCKET)
        send(server, requests_of(server, "PUT", 500))
        began = time.monotonic()
        upload(server, int(options.gib * GIB))
        say(f"{options.gib} GiB stored after {time.monotonic() - began:.0f} s")
        delete(server, options.seconds, options.rounds)
        churn(server, options.churn)
    return 0


if __name__ == "__main__":
    run_program(main)
