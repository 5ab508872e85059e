"""Writers that record their writes, so that any restored state of a store can be checked.

Each key has one writer, so the writes of a key do not overlap. In a store that was restored to a moment, a key may have
the content of the last write acknowledged before it, or of any write started before it. It must have nothing older, and
no bytes that nobody wrote.
"""

import hashlib
import os
import random
import threading
import time
from dataclasses import dataclass
from typing import Any

from ..operations.multipart import upload

BUCKET = "recorded"
#: One statement; more than one statement; more than is held in memory.
SIZES = (100, 300_000, 1_300_000)
PATIENCE = 60


@dataclass(slots=True)
class Write:
    """One write of a key, with times in seconds since 1970. `ended` is infinite if it was not acknowledged."""

    #: The digest of the bytes, or None if the key was deleted.
    digest: str | None
    began: float
    ended: float = float("inf")


class Recorder:
    """Threads that put, overwrite, copy and delete objects until they are stopped."""

    def __init__(self, s3: Any, writers: int = 2, keys: int = 8) -> None:
        self._s3, self._stopped = s3, threading.Event()
        self.writes: dict[str, list[Write]] = {}
        self.errors: list[Exception] = []
        names = [[f"{writer}/{number}" for number in range(keys)] for writer in range(writers)]
        self._threads = [threading.Thread(target=self._run, args=(number, keys)) for number, keys in enumerate(names)]

    def __enter__(self) -> "Recorder":
        self._s3.create_bucket(Bucket=BUCKET)
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stopped.set()
        for thread in self._threads:
            thread.join(PATIENCE)
        assert not self.errors, self.errors

    def wait_for_writes(self, count: int) -> None:
        """Wait until that many more writes have been acknowledged."""
        deadline, wanted = time.monotonic() + PATIENCE, self._acknowledged() + count
        while self._acknowledged() < wanted:
            assert not self.errors and time.monotonic() < deadline, self.errors
            time.sleep(0.02)

    def check(self, s3: Any, since: float, until: float) -> int:
        """Read and check a store that was restored to a moment between these two. Return the number of objects."""
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        keys = {entry["Key"] for page in pages for entry in page.get("Contents", [])}
        held = {key: hashlib.sha256(s3.get_object(Bucket=BUCKET, Key=key)["Body"].read()).hexdigest() for key in keys}
        for key in self.writes.keys() | keys:
            history = [Write(None, 0.0, 0.0), *self.writes.get(key, [])]
            first = max(number for number, write in enumerate(history) if write.ended <= since)
            possible = [write.digest for write in history[first:] if write.began <= until]
            assert held.get(key) in possible, (key, history, held.get(key))
        return len(keys)

    def _acknowledged(self) -> int:
        return sum(write.ended < float("inf") for writes in list(self.writes.values()) for write in list(writes))

    def _run(self, number: int, keys: list[str]) -> None:
        chance = random.Random(number)
        held: dict[str, str] = {}
        try:
            while not self._stopped.is_set():
                self._write(chance, chance.choice(keys), held)
        except Exception as error:  # any exception must reach the test
            self.errors.append(error)

    def _write(self, chance: random.Random, key: str, held: dict[str, str]) -> None:
        place = {"Bucket": BUCKET, "Key": key}
        kind = chance.choice(("put", "put", "put", "parts", "copy", "delete"))
        source = chance.choice(sorted(held)) if held else ""
        if kind == "delete" or (kind == "copy" and source in ("", key)):
            write = self._begin(key, None)
            self._s3.delete_object(**place)
        elif kind == "copy":
            write = self._begin(key, held[source])
            self._s3.copy_object(**place, CopySource={"Bucket": BUCKET, "Key": source})
        elif kind == "put":
            body = os.urandom(chance.choice(SIZES))
            write = self._begin(key, hashlib.sha256(body).hexdigest())
            self._s3.put_object(**place, Body=body)
        else:
            parts = {1: os.urandom(chance.choice(SIZES)), 2: os.urandom(100)}
            write = self._begin(key, hashlib.sha256(b"".join(parts.values())).hexdigest())
            upload(self._s3, BUCKET, key, parts)
        write.ended = time.time()
        held.pop(key, None)
        if write.digest:
            held[key] = write.digest

    def _begin(self, key: str, digest: str | None) -> Write:
        write = Write(digest, time.time())
        self.writes.setdefault(key, []).append(write)
        return write
