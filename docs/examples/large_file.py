"""Send one large object in parts, verify every checksum, fetch it whole and by ranges, copy it, and delete it.

    PYTHONPATH=. python docs/examples/large_file.py 2G
    PYTHONPATH=. python docs/examples/large_file.py 64M --part-size 5M --rounds 3

The object is kept neither in memory nor on this machine's disk. Its content is generated while it is sent, and each MiB
can be generated again from its number, for comparison.
"""

import argparse
import hashlib
import os
import random
import sys
import time
import uuid
from collections.abc import Iterator

from post3.sdk import Client, Progress, Transfers

MIB = 1 << 20
UNITS = {"K": 1 << 10, "M": MIB, "G": 1 << 30, "T": 1 << 40}


class Content:
    """Bytes of any length that take no space: each MiB is the same noise, preceded by its number."""

    def __init__(self, size: int) -> None:
        self.size, self._noise = size, os.urandom(MIB - 8)

    def pieces(self) -> Iterator[bytes]:
        for number in range(-(-self.size // MIB)):
            yield self._piece(number)

    def _piece(self, number: int) -> bytes:
        return (number.to_bytes(8, "big") + self._noise)[: min(MIB, self.size - number * MIB)]

    def at(self, start: int, length: int) -> bytes:
        """Return `length` bytes from `start` on, at most two MiB."""
        first = start // MIB
        found = b"".join(self._piece(number) for number in range(first, min(first + 3, -(-self.size // MIB))))
        return found[start - first * MIB :][:length]

    def hashes(self, part_size: int) -> tuple[str, str]:
        """Return the SHA-256 of the content, and the ETag that S3 gives it if sent in parts of `part_size` bytes."""
        whole, part, parts, filled = hashlib.sha256(), hashlib.md5(usedforsecurity=False), [], 0
        for piece in self.pieces():
            whole.update(piece)
            while piece:
                taken, piece = piece[: part_size - filled], piece[part_size - filled :]
                part.update(taken)
                filled += len(taken)
                if filled == part_size:
                    parts.append(part.digest())
                    part, filled = hashlib.md5(usedforsecurity=False), 0
        if filled or not parts:
            parts.append(part.digest())
        return whole.hexdigest(), f"{hashlib.md5(b''.join(parts), usedforsecurity=False).hexdigest()}-{len(parts)}"


def size(text: str) -> int:
    """Read a size: `1000`, `64M`, `2G`."""
    number, unit = (text[:-1], UNITS[text[-1].upper()]) if text[-1:].upper() in UNITS else (text, 1)
    if not number.isdecimal() or int(number) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no size like 64M or 2G")
    return int(number) * unit


def check(what: str, right: bool) -> None:
    """Print the result of a check; exit if it is wrong."""
    print(f"{'ok  ' if right else 'WRONG'} {what}", flush=True)
    if not right:
        sys.exit(1)


def shown(done: int, seconds: float) -> str:
    return f"{done / MIB:,.0f} MiB in {seconds:.1f} s, {done / MIB / max(seconds, 1e-9):,.0f} MiB/s"


def tell_progress() -> Progress | None:
    """Return a callback that prints progress to a terminal, or None if standard error is not a terminal."""
    if not sys.stderr.isatty():
        return None
    return lambda done, total: print(f"\r{done / MIB:,.0f} MiB", end="\r", file=sys.stderr)


def run(client: Client, bucket: str, content: Content, part_size: int) -> None:
    """Send, verify, fetch, copy and delete the object once."""
    sha256, etag = content.hashes(part_size)
    start = time.monotonic()
    client.put_stream(bucket, "large", content.pieces(), progress=tell_progress())
    print(f"sent    {shown(content.size, time.monotonic() - start)}")
    info = client.head(bucket, "large")
    check(f"size {info.size:,}", info.size == content.size)
    if content.size >= client.transfers.threshold:
        check(f"ETag {info.etag}: every part's MD5", info.etag == etag)

    start, fetched = time.monotonic(), hashlib.sha256()
    with client.get_stream(bucket, "large", progress=tell_progress()) as stream:
        for piece in stream.chunks():
            fetched.update(piece)
    print(f"fetched {shown(content.size, time.monotonic() - start)}")
    check(f"SHA-256 {sha256}", fetched.hexdigest() == sha256)

    for _ in range(20):
        first = random.randrange(content.size)
        length = random.randint(1, 2 * MIB)
        with client.get_stream(bucket, "large", start=first, length=length) as stream:
            if stream.read() != content.at(first, length):
                check(f"the range of {length} bytes from {first} on", False)
    check("20 ranges", True)

    start = time.monotonic()
    client.copy(bucket, "large", bucket, "copy")
    print(f"copied  {shown(content.size, time.monotonic() - start)}")
    check("the copy's size", client.head(bucket, "copy").size == content.size)
    last = max(0, content.size - MIB)
    with client.get_stream(bucket, "copy", start=last) as stream:
        check("the copy's end", stream.read() == content.at(last, MIB))
    check("both deleted", client.delete_many(bucket, ["large", "copy"]) == 2)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("size", type=size, nargs="?", default=256 * MIB, help="of the object: 64M, 2G (256M)")
    parser.add_argument("--part-size", type=size, default=16 * MIB, help="5M at least (16M)")
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    # S3 accepts 10,000 parts. If there would be more, s3transfer makes them larger, and the ETag would differ.
    if not 5 * MIB <= options.part_size <= 5 << 30 or options.size > 10_000 * options.part_size:
        parser.error("--part-size is 5M to 5G, and a ten-thousandth of the size at least")
    bucket = f"example-large-{uuid.uuid4().hex[:8]}"
    with Client(transfers=Transfers(threshold=options.part_size, part_size=options.part_size)) as client:
        client.create_bucket(bucket)
        try:
            for number in range(1, options.rounds + 1):
                print(f"Round {number} of {options.rounds}: {options.size:,} bytes in parts of {options.part_size:,}", flush=True)
                run(client, bucket, Content(options.size), options.part_size)
        finally:
            client.delete_bucket(bucket, with_objects=True)


if __name__ == "__main__":
    main()
