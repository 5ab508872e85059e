"""Crashes: SIGKILL at random moments under load. After each restart, every acknowledged write is checked.

    python -m tests.faults crash --crashes 300 --configurations sqlite-files --seed 7

In each round, writers put load on the server for a moment. Then the server, the worker, PostgreSQL or several of them
are killed and restarted. In half of the rounds the writers continue meanwhile. Then each touched key is read and
compared byte for byte, and the complete listing is compared with the journal. At the end every key is read, and the
catalogue is compared with the bytes (`fsck.py`).
"""

import argparse
import contextlib
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree

from ..raw import RawClient
from ..servers import Server
from . import fsck
from .journal import ABSENT, Journal
from .stand import CONFIGURATIONS, Stand, stand
from .writers import Unanswered, Unreachable, Writer, ask, observe

WRITERS, READERS = 6, 4
#: Seconds of load before a kill, and after a restart.
BEFORE, AFTER = (0.05, 0.5), (0.05, 0.3)
#: The minimum number of acknowledged writes in each round before the kill.
WRITES = 6
#: Seconds within which a read must succeed once the server is ready. Connections to a dead database fail once.
PATIENCE = 30


@dataclass
class Result:
    """The actions of a run, and its findings."""

    seed: int
    kills: Counter[str] = field(default_factory=Counter)
    #: Objects read and compared, and entries of listings.
    checked: int = 0
    listed: int = 0
    seconds: float = 0.0
    findings: fsck.Findings = field(default_factory=fsck.Findings)
    journal: Journal = field(default_factory=Journal)

    @property
    def ok(self) -> bool:
        return not self.journal.violations and not self.findings.faults


def run(one: Stand, crashes: int, seed: int, say: Callable[[str], None] = lambda line: None) -> Result:
    """Crash a running stand `crashes` times, and stop at the first violation.

    The server and worker are stopped at the end.
    """
    result, chosen, client = Result(seed), random.Random(seed), one.client()
    journal, begun = result.journal, time.monotonic()
    ask(client, "PUT", "")
    writers = [Writer(number, one.client(), journal, seed) for number in range(WRITERS)]
    for number in range(crashes):
        # In turn, so that a few rounds cover them all. The moments are random.
        target = one.targets[number % len(one.targets)]
        _crash(one, writers, target, chosen)
        result.kills[target] += 1
        _check(client, result, set(journal.touched))
        journal.touched.clear()
        if (number + 1) % 20 == 0:
            say(f"{number + 1} crashes, {(time.monotonic() - begun) / (number + 1):.1f} s each; {_progress(result)}")
        if journal.violations:
            break
    for writer in writers:  # uploads that the last crash interrupted
        if writer.upload is not None:
            _answered(lambda writer=writer: writer.go_on_with(writer.upload))
    _check(client, result, set(journal.states))
    one.stop()
    one.server.environment["POST3_PENDING_UPLOAD_SECONDS"] = "0"
    one.server.manage("run_worker", "--once")
    result.findings = fsck.check(one.server)
    result.findings.faults += _own_check(one.server)
    result.seconds = time.monotonic() - begun
    return result


def _crash(one: Stand, writers: list[Writer], target: str, chosen: random.Random) -> None:
    """Run one round: load, kill, restart.

    In half of the rounds the writers continue meanwhile, otherwise they stop at the kill.
    """
    stopped = threading.Event()
    journal = writers[0].journal
    enough = journal.acknowledged + WRITES
    for writer in writers:
        writer.must_be_answered = target == "worker" and not one.has_stale_connections
    threads = [threading.Thread(target=writer.run, args=(stopped,)) for writer in writers]
    for thread in threads:
        thread.start()
    try:
        time.sleep(chosen.uniform(*BEFORE))
        _wait_for_writes(journal, enough)
        one.kill(target)
        goes_on = chosen.random() < 0.5
        if not goes_on:
            stopped.set()
        one.restart(target)
        if goes_on:
            time.sleep(chosen.uniform(*AFTER))
    finally:
        stopped.set()
        for thread in threads:
            thread.join()
    for writer in writers:
        if writer.failure is not None:
            raise writer.failure


def _wait_for_writes(journal: Journal, enough: int) -> None:
    """Wait until this many writes are acknowledged, however slow the machine, or until there is a violation."""
    deadline = time.monotonic() + PATIENCE
    while journal.acknowledged < enough and not journal.violations:
        assert time.monotonic() < deadline, f"fewer than {WRITES} writes within {PATIENCE} s"
        time.sleep(0.01)


def _check(client: RawClient, result: Result, keys: set[str]) -> None:
    """Read these keys, and compare the whole listing with the journal, in which every key now has one state."""
    journal = result.journal
    with ThreadPoolExecutor(READERS) as pool:
        list(pool.map(lambda key: _answered(lambda: observe(client, journal, key)), sorted(keys)))
    result.checked += len(keys)
    listed = _listing(client)
    result.listed += len(listed)
    expected = {key: state for key, states in journal.states.items() for state in states if state is not ABSENT}
    for key in sorted(listed.keys() | expected.keys()):
        content = expected.get(key)
        if listed.get(key) != (content and (content.etag, content.size)):
            journal.violate("wrong", key, f"the listing has {listed.get(key)}, GET and journal have {content}")


def _listing(client: RawClient) -> dict[str, tuple[str, int]]:
    """Return the ETag and size of every key."""
    found: dict[str, tuple[str, int]] = {}
    query = "list-type=2"
    while True:
        answer = _answered(lambda query=query: ask(client, "GET", "", query))
        assert answer.status == 200, answer
        page = ElementTree.fromstring(answer.body)
        for entry in page.iterfind("{*}Contents"):
            values = {child.tag.rpartition("}")[2]: child.text or "" for child in entry}
            found[values["Key"]] = (values["ETag"].strip('"'), int(values["Size"]))
        token = page.findtext("{*}NextContinuationToken")
        if not token:
            return found
        # The parameters of a query are signed in order.
        query = f"continuation-token={quote(token, safe='')}&list-type=2"


def _answered(call: Callable[[], Any]) -> Any:
    """Repeat a read until there is a response."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return call()
        except (Unanswered, Unreachable):
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _own_check(server: Server) -> list[str]:
    """Return the findings of post3's own `check_storage --verify`.

    Recent leftovers of crashes are too new to be faults.
    """
    try:
        server.manage("check_storage", "--verify", "--min-age", "86400")
    except AssertionError as error:
        return [f"{error}"]
    return []


def _progress(result: Result) -> str:
    kinds = Counter(violation.kind for violation in result.journal.violations)
    counts = (
        f"{result.journal.acknowledged} writes acknowledged, {result.journal.unanswered} not; {result.checked} objects checked"
    )
    return f"{counts}; lost {kinds['lost']}, torn {kinds['torn']}, wrong {kinds['wrong']}"


def report(configuration: str, result: Result) -> str:
    """Return a report of a run, as lines."""
    found, kills = result.findings, ", ".join(f"{target} {count}" for target, count in sorted(result.kills.items()))
    lines = [
        f"{configuration}, seed {result.seed}: {result.kills.total()} crashes in {result.seconds:.0f} s ({kills})",
        f"  {_progress(result)}; {result.listed} entries of listings compared",
        f"  fsck: {found.blobs} blobs, {len(found.faults)} faults; {found.collectable} blobs and {found.files} files left over",
    ]
    lines += [f"  {one.kind.upper()} {one.key}: {one.what}" for one in result.journal.violations[:20]]
    lines += [f"  FAULT {fault}" for fault in found.faults[:20]]
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults crash", description=__doc__.split("\n")[0])
    parser.add_argument("--crashes", type=int, default=300, help="crashes of each configuration (default: 300)")
    parser.add_argument("--configurations", default=",".join(CONFIGURATIONS), metavar="NAME,…", help="default: all")
    parser.add_argument("--runner", default="uvicorn", help="a runner in tests/servers.py: uvicorn, gunicorn-asgi, gunicorn-wsgi")
    parser.add_argument("--seed", type=int, default=None, help="determines the operations, but not the moments of the kills")
    given = parser.parse_args(arguments)
    seed = given.seed if given.seed is not None else random.SystemRandom().getrandbits(24)
    failed = 0
    for configuration in given.configurations.split(","):
        with contextlib.ExitStack() as stack:
            one = stack.enter_context(stand(configuration, given.runner))
            result = run(one, given.crashes, seed, lambda line: print(f"  {line}", flush=True))
            print(report(configuration, result), flush=True)
            failed += not result.ok
    return 1 if failed else 0
