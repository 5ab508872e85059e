"""Rates of a small and a large bucket, measured alternately, so that other load on the machine affects both."""

import hashlib
import os
import random
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from tests.servers import Server

from .filling import BODY_SIZE, Filling, body_of
from .load import Outcome, Request
from .stand import Line, Table, rates, say, send, signer_of

PAGE = 1000
#: The maximum number of different requests per side, which are then repeated.
VARIETY = 20_000
#: The maximum number of new objects put in a second of load.
MOST_PUTS = 4000
#: Seconds of rest before a run, for earlier writes to reach the disk.
REST = 0.2
WITHIN = 1.5


@dataclass
class Side:
    """One of the buckets, and the requests sent to it."""

    server: Server
    filling: Filling
    seconds: float
    requests: dict[str, list[Request]] = field(default_factory=dict)
    #: Keys created by the last run of PUTs, for DELETE.
    new_keys: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.filling.bucket)
        self.signer = signer_of(self.server)

    def path(self, key: str) -> str:
        return f"/{self.filling.bucket}/{key}"

    def keys_with_body(self) -> list[str]:
        numbers = self.filling.numbers_with_body()
        return [self.filling.key(number) for number in self.chance.choices(numbers, k=VARIETY)]

    def repeated(self, name: str, make: Callable[[], list[Request]]) -> Outcome:
        """Send the same requests in every round. Signatures are valid for 15 minutes."""
        if name not in self.requests:
            self.requests[name] = make()
            send(self.server, self.requests[name], seconds=min(0.3, self.seconds))
        return self.send(self.requests[name], seconds=self.seconds)

    def send(self, requests: list[Request], **limits: Any) -> Outcome:
        os.sync()
        time.sleep(REST)
        return send(self.server, requests, **limits)


def get(side: Side) -> Outcome:
    def make() -> list[Request]:
        bodies: dict[str, bytes] = {}
        for key in (keys := side.keys_with_body()):
            bodies.setdefault(key, body_of(key))
        return [Request(side.signer.head("GET", side.path(key)), length=BODY_SIZE, expected=bodies[key]) for key in keys]

    return side.repeated("GET", make)


def head(side: Side) -> Outcome:
    def make() -> list[Request]:
        return [
            Request(side.signer.head("HEAD", side.path(key)), length=BODY_SIZE, no_body=True) for key in side.keys_with_body()
        ]

    return side.repeated("HEAD", make)


def overwrite(side: Side) -> Outcome:
    """Overwrite existing objects with the same bytes, so that they remain what GET expects."""
    return side.repeated("PUT over", lambda: [_put(side, key, body_of(key)) for key in side.keys_with_body()])


def put_new(side: Side) -> Outcome:
    """Put new keys anywhere between the existing ones."""
    body, keys = body_of("new"), []
    for _ in range(int(MOST_PUTS * max(side.seconds, 1))):
        folder = side.filling.key(side.chance.randrange(side.filling.objects)).rpartition("/")[0]
        keys.append(f"{folder}/n{uuid.UUID(int=side.chance.getrandbits(128)).hex}")
    outcome = side.send([_put(side, key, body) for key in keys], seconds=side.seconds, count=len(keys))
    side.new_keys = keys[: outcome.operations]
    return outcome


def delete(side: Side) -> Outcome:
    """Delete the new keys, so that the bucket is in its former state."""
    side.chance.shuffle(side.new_keys)
    requests = [Request(side.signer.head("DELETE", side.path(key)), status=204, length=0) for key in side.new_keys]
    outcome = side.send(requests, seconds=side.seconds, count=len(requests))
    if rest := requests[outcome.operations :]:
        send(side.server, rest)
    side.new_keys = []
    return outcome


def list_page(side: Side) -> Outcome:
    """List 1,000 keys from random places that are followed by at least as many."""

    def make() -> list[Request]:
        places = [side.chance.randint(0, side.filling.objects - PAGE) for _ in range(500)]
        starts = [side.filling.key(place - 1) if place else "" for place in places]
        return [_list(side, {"list-type": "2", "start-after": start}) for start in starts]

    return side.repeated("LIST page", make)


def list_rolled_up(side: Side) -> Outcome:
    """List the common prefixes below a prefix."""

    def make() -> list[Request]:
        prefixes = [side.filling.key(place * side.filling.objects // side.filling.tops)[:6] for place in range(side.filling.tops)]
        return [_list(side, {"list-type": "2", "delimiter": "/", "prefix": prefix}) for prefix in prefixes]

    return side.repeated("LIST delimiter", make)


def _put(side: Side, key: str, body: bytes) -> Request:
    digest = hashlib.sha256(body).hexdigest()
    return Request(side.signer.head("PUT", side.path(key), None, digest, len(body)), body, length=0)


def _list(side: Side, query: dict[str, str]) -> Request:
    return Request(side.signer.head("GET", f"/{side.filling.bucket}", query))


#: In an order in which DELETE removes the new keys, and no operation changes what a later one expects.
OPERATIONS: dict[str, Callable[[Side], Outcome]] = {
    "GET 4 KiB": get,
    "HEAD": head,
    "LIST page": list_page,
    "LIST delimiter": list_rolled_up,
    "PUT new key": put_new,
    "DELETE": delete,
    "PUT over": overwrite,
}
#: These share a round, because the second needs the keys of the first.
TOGETHER = {"PUT new key": ("PUT new key", "DELETE"), "DELETE": ()}


def measure(sides: list[Side], rounds: int) -> dict[str, dict[str, dict[str, Any]]]:
    """Return the figures of each operation on each side, by bucket name."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for name in OPERATIONS:
        together = TOGETHER.get(name, (name,))
        outcomes: dict[tuple[str, str], list[Outcome]] = {}
        for _ in range(rounds):
            for operation in together:
                for side in sides:
                    outcome = OPERATIONS[operation](side)
                    outcomes.setdefault((operation, side.filling.bucket), []).append(outcome)
        for (operation, bucket), those in outcomes.items():
            found.setdefault(operation, {})[bucket] = rates(operation, those)
            say(f"{operation} on {bucket}: {', '.join(f'{outcome.rate:,.0f}' for outcome in those)} per second")
    for side in sides:
        side.requests.clear()
    return found


def table(alone: dict[str, Any], both: dict[str, Any]) -> Table:
    """Compare the small bucket while it was the only one, the small bucket, and the large one."""
    result = Table("Operations per second at 8 connections, medians")
    for name, sides in both.items():
        small, large = sides["small"]["rate"], sides["large"]["rate"]
        ratio = small / large
        figures = {"small, alone": alone[name]["small"]["rate"], "small": small, "large": large, "small / large": ratio}
        result.lines.append(Line(name, figures, f"within {WITHIN}", 1 / WITHIN <= ratio <= WITHIN))
        sizes = [_answer_size(sides[bucket]) for bucket in ("small", "large")]
        if name.startswith("LIST") and abs(sizes[0] - sizes[1]) > 0.02 * max(sizes):
            raise RuntimeError(f"{name}: the responses differ, {sizes[0]:,.0f} bytes on average and {sizes[1]:,.0f}")
    return result


def _answer_size(figures: dict[str, Any]) -> float:
    rounds = figures["rounds"]
    return median(outcome["bytes"] / outcome["operations"] for outcome in rounds)
