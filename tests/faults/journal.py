"""What was sent and what was acknowledged: for each key the states that it may be in.

Each key has one writer, which waits for each answer. So a key is in one state, that of its last acknowledged write, unless
writes went unanswered since: each of these may or may not have happened, and the key may be in the state before or after
any of them, never in a mix. The next acknowledged write, or a read, leaves one state again.
"""

import functools
import hashlib
import random
import threading
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Content:
    """What a key may hold: bytes that can be made again from `seed` and `size`, and an ETag without quotes."""

    seed: int
    size: int
    etag: str

    def body(self) -> bytes:
        return body_of(self.seed, self.size)


#: A key that holds nothing.
ABSENT = None
State = Content | None


def body_of(seed: int, size: int) -> bytes:
    """Return bytes that no other seed gives."""
    return random.Random(seed).randbytes(size)


def new_content(seed: int, size: int, part_size: int = 0) -> Content:
    """Describe the bytes of a seed, as they come in one PUT or, with `part_size`, in parts of that size."""
    body = body_of(seed, size)
    if not part_size:
        return Content(seed, size, _md5(body).hexdigest())
    digests = [_md5(body[start : start + part_size]).digest() for start in range(0, size, part_size)]
    return Content(seed, size, f"{_md5(b''.join(digests)).hexdigest()}-{len(digests)}")


_md5 = functools.partial(hashlib.md5, usedforsecurity=False)


@dataclass(slots=True)
class Violation:
    """A promise that was not kept. `kind`: lost (acknowledged, and gone), torn (bytes nobody sent), wrong (anything else)."""

    kind: str
    key: str
    what: str


@dataclass
class Journal:
    """The states of all keys. A writer changes its own keys only; `violations` may be added to by anybody."""

    states: dict[str, frozenset[State]] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)
    violations: list[Violation] = field(default_factory=list)
    acknowledged: int = 0
    unanswered: int = 0
    #: ETag -> what was sent with it, whether or not it was acknowledged.
    sent: dict[str, Content] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, key: str) -> frozenset[State]:
        return self.states.get(key, frozenset([ABSENT]))

    def certain(self, key: str) -> bool:
        return len(self.of(key)) == 1

    def sending(self, content: Content) -> None:
        """Note a content before any byte of it is sent."""
        self.sent[content.etag] = content

    def acknowledge(self, key: str, state: State) -> None:
        """Note that a write was answered: the key is in that state, whatever was unanswered before."""
        self._set(key, frozenset([state]))
        with self._lock:
            self.acknowledged += 1

    def doubt(self, key: str, state: State) -> None:
        """Note a write that was not answered."""
        self._set(key, self.of(key) | {state})
        with self._lock:
            self.unanswered += 1

    def observe(self, key: str, body: bytes | None, etag: str = "") -> None:
        """Note what a GET found (None: 404). The key was in that state all the time since the last acknowledged write."""
        found = next((state for state in self.of(key) if _is_same(state, body, etag)), False)
        if found is not False:
            self._set(key, frozenset([found]))
            return
        allowed = ", ".join(sorted("nothing" if state is ABSENT else state.etag for state in self.of(key)))
        if body is None:
            self.violate("lost", key, f"it is gone, and should hold {allowed}")
        elif etag not in self.sent or self.sent[etag].body() != body:
            self.violate("torn", key, f"{len(body)} bytes with ETag {etag} that nobody sent; it should hold {allowed}")
        else:
            self.violate("wrong", key, f"it holds {etag}, which was overwritten, deleted or never its own; should: {allowed}")

    def violate(self, kind: str, key: str, what: str) -> None:
        with self._lock:
            self.violations.append(Violation(kind, key, what))

    def _set(self, key: str, states: frozenset[State]) -> None:
        self.touched.add(key)
        self.states[key] = states


def _is_same(state: State, body: bytes | None, etag: str) -> bool:
    if state is ABSENT or body is None:
        return state is ABSENT and body is None
    return state.etag == etag and state.size == len(body) and state.body() == body
