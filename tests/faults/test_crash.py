"""A few crashes of each configuration. `python -m tests.faults crash` runs hundreds."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from ..helpers import files_of, query
from . import crash, fsck
from .crash import Result
from .journal import ABSENT, Journal, new_content
from .stand import CONFIGURATIONS, Stand, stand

CRASHES = 4
Crashed = tuple[Stand, Result]


@pytest.fixture(scope="module")
def runs() -> Iterator[dict[str, Crashed]]:
    """Yield every configuration, crashed a few times and then stopped. They run in parallel, as they mostly wait."""
    with ExitStack() as stack, ThreadPoolExecutor(len(CONFIGURATIONS)) as pool:

        def run(configuration: str) -> Crashed:
            one = stack.enter_context(stand(configuration))
            return one, crash.run(one, CRASHES, seed=4)

        yield dict(zip(CONFIGURATIONS, pool.map(run, CONFIGURATIONS), strict=True))


@pytest.fixture(params=CONFIGURATIONS)
def crashed(request: pytest.FixtureRequest, runs: dict[str, Crashed]) -> Crashed:
    return runs[request.param]


def test_nothing_acknowledged_is_lost_by_crashes(crashed: Crashed) -> None:
    one, result = crashed
    assert result.ok, crash.report("", result) + one.server.log()[-10_000:]
    assert result.kills.total() == CRASHES and result.kills["server"] and result.kills["worker"]
    assert (
        result.journal.acknowledged >= crash.WRITES * CRASHES and result.checked > 20 and result.listed and result.findings.blobs
    )


def test_the_check_after_crashes_finds_damaged_bytes(crashed: Crashed) -> None:
    one, _ = crashed
    (name, number), *_ = query(
        one.server,
        "SELECT b.name, b.id FROM post3_blob b JOIN post3_object o ON o.blob_id = b.id WHERE b.size > 100 ORDER BY b.id",
    )
    if name:
        path = one.server.data_dir / "var" / "objects" / name
        body = path.read_bytes()
        path.write_bytes(body[:50] + bytes([body[50] ^ 1]) + body[51:])
    else:
        flip = "UPDATE post3_block SET data = set_byte(data, 50, 255 - get_byte(data, 50))"
        statement = f'{flip} WHERE blob_id = ? AND "index" = 0 RETURNING 1'
        assert query(one.server, statement, [number])
    assert any(fault.startswith(f"blob {number}:") for fault in fsck.check(one.server).faults)


def test_the_check_after_crashes_finds_missing_bytes(crashed: Crashed) -> None:
    one, _ = crashed
    (name, number), *_ = query(
        one.server,
        "SELECT b.name, b.id FROM post3_blob b JOIN post3_object o ON o.blob_id = b.id WHERE b.size > 100 ORDER BY b.id DESC",
    )
    if name:
        assert name in files_of(one.server)
        (one.server.data_dir / "var" / "objects" / name).unlink()
    else:
        assert query(one.server, "DELETE FROM post3_block WHERE blob_id = ? RETURNING 1", [number])
    assert any(fault.startswith(f"blob {number}") for fault in fsck.check(one.server).faults)


def test_the_journal_allows_unanswered_writes_until_the_next_response() -> None:
    journal, first, second, third = Journal(), *(new_content(seed, 100) for seed in (1, 2, 3))
    for content in (first, second, third):
        journal.sending(content)
    journal.acknowledge("a", first)
    journal.doubt("a", second)
    journal.doubt("a", ABSENT)
    assert journal.of("a") == {first, second, ABSENT}
    journal.observe("a", second.body(), second.etag)
    assert journal.of("a") == {second} and not journal.violations
    journal.acknowledge("a", third)
    journal.observe("a", second.body(), second.etag)
    assert [violation.kind for violation in journal.violations] == ["wrong"]


@pytest.mark.parametrize(
    ("found", "kind"),
    [("nothing", "lost"), ("cut", "torn"), ("mixed", "torn"), ("older", "wrong"), ("with another ETag", "torn")],
)
def test_the_journal_distinguishes_lost_torn_and_wrong(found: str, kind: str) -> None:
    journal, older, newer = Journal(), new_content(1, 100), new_content(2, 100)
    for content in (older, newer):
        journal.sending(content)
        journal.acknowledge("a", content)
    body, etag = {
        "nothing": (None, ""),
        "cut": (newer.body()[:50], newer.etag),
        "mixed": (older.body()[:50] + newer.body()[50:], newer.etag),
        "older": (older.body(), older.etag),
        "with another ETag": (newer.body(), older.etag),
    }[found]
    journal.observe("a", body, etag)
    assert [violation.kind for violation in journal.violations] == [kind]
