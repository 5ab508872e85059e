"""A journal of sent and acknowledged writes: for each key, the states that it may be in.

Each key has one writer, which waits for each response. So a key is in the state of its last acknowledged write, unless
later writes got no response. Each of those may or may not have been executed, so the key may be in the state before or
after any of them, but never in a mixture. The next acknowledged write, or a read, leaves one possible state again.
"""

import functools
import hashlib
import random
import threading
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Content:
    """The content of a key: bytes that `seed` and `size` reproduce, and an ETag without quotes."""

    seed: int
    size: int
    etag: str

    def body(self) -> bytes:
        return body_of(self.seed, self.size)


#: The state of a key without an object.
ABSENT = None
State = Content | None


def body_of(seed: int, size: int) -> bytes:
    """Return bytes that are different for every seed."""
    return random.Random(seed).randbytes(size)


def new_content(seed: int, size: int, part_size: int = 0) -> Content:
    """Describe the bytes of a seed, sent in one PUT or, with `part_size`, in parts of that size."""
    body = body_of(seed, size)
    if not part_size:
        return Content(seed, size, _md5(body).hexdigest())
    digests = [_md5(body[start : start + part_size]).digest() for start in range(0, size, part_size)]
    return Content(seed, size, f"{_md5(b''.join(digests)).hexdigest()}-{len(digests)}")


_md5 = functools.partial(hashlib.md5, usedforsecurity=False)


@dataclass(slots=True)
class Violation:
    """A broken promise. `kind` is lost (acknowledged, but gone), torn (bytes nobody sent) or wrong (anything else)."""

    kind: str
    key: str
    what: str


@dataclass
class Journal:
    """The states of all keys. Each writer changes only its own keys; all of them may add to `violations`."""

    states: dict[str, frozenset[State]] = field(default_factory=dict)
    touched: set[str] = field(default_factory=set)
    violations: list[Violation] = field(default_factory=list)
    acknowledged: int = 0
    unanswered: int = 0
    #: ETag -> the content sent with it, acknowledged or not.
    sent: dict[str, Content] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, key: str) -> frozenset[State]:
        return self.states.get(key, frozenset([ABSENT]))

    def certain(self, key: str) -> bool:
        return len(self.of(key)) == 1

    def sending(self, content: Content) -> None:
        """Record a content before any of its bytes are sent."""
        self.sent[content.etag] = content

    def acknowledge(self, key: str, state: State) -> None:
        """Record that a write was acknowledged. The key is in this state, whatever was unanswered before."""
        self._set(key, frozenset([state]))
        with self._lock:
            self.acknowledged += 1

    def doubt(self, key: str, state: State) -> None:
        """Record a write that got no response."""
        self._set(key, self.of(key) | {state})
        with self._lock:
            self.unanswered += 1

    def observe(self, key: str, body: bytes | None, etag: str = "") -> None:
        """Record the result of a GET (None: 404). The key has been in that state since the last acknowledged write."""
        found = next((state for state in self.of(key) if _is_same(state, body, etag)), False)
        if found is not False:
            self._set(key, frozenset([found]))
            return
        allowed = ", ".join(sorted("nothing" if state is ABSENT else state.etag for state in self.of(key)))
        if body is None:
            self.violate("lost", key, f"the object is missing; expected {allowed}")
        elif etag not in self.sent or self.sent[etag].body() != body:
            self.violate("torn", key, f"{len(body)} bytes with ETag {etag} that nobody sent; expected {allowed}")
        else:
            self.violate("wrong", key, f"it has {etag}, which was overwritten, deleted or never its own; expected {allowed}")

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
