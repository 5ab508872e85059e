"""A pytest plugin with which several runs of pytest share the same tests (`-p tests.sharing`).

Each run collects all tests, and then claims and runs one module after another. All runs therefore end at about the same
time, however long the modules take. The tests of a module on different kinds of servers are claimed separately, in
pytest's order.
"""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

#: The variable with the path of an initially empty directory, in which the runs create a file for each claim.
VARIABLE = "POST3_TEST_CLAIMS"
#: The slowest modules. They are claimed first, so that none of them is still running when all others have ended.
LONGEST = (
    "tests/site/test_unfit_databases.py",
    "tests/upgrades/test_squashed.py",
    "tests/upgrades/test_upgrade.py",
    "tests/faults/test_crash.py",
    "tests/faults/test_powercut.py",
    "tests/management/test_without_a_store.py",
    "tests/admin/test_queries.py",
)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> bool | None:
    if session.testsfailed or session.config.option.collectonly:
        return None
    for item, following in itertools.pairwise(itertools.chain(claimed(session.items), [None])):
        session.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if session.shouldfail:
            raise session.Failed(session.shouldfail)
        if session.shouldstop:
            raise session.Interrupted(session.shouldstop)
    return True


def claimed(items: list[pytest.Item]) -> Iterator[pytest.Item]:
    """Yield the tests that this run claims. A group is claimed when its first test is requested."""
    groups: dict[str, list[pytest.Item]] = {}
    for item in items:
        groups.setdefault(group_of(item), []).append(item)
    for name in sorted(groups, key=place_of):
        if claim(name):
            yield from groups[name]


def group_of(item: pytest.Item) -> str:
    """Return the name of the group of a test: its module, and the kind of its server if it has one."""
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    return ":".join([item.nodeid.partition("::")[0], *([parameters["server"]] if "server" in parameters else [])])


def place_of(group: str) -> int:
    """Return a number by which the longest modules sort before the others."""
    module = group.partition(":")[0]
    return LONGEST.index(module) if module in LONGEST else len(LONGEST)


def claim(group: str) -> bool:
    """Whether this run is the first to claim a group."""
    try:
        Path(os.environ[VARIABLE], group.replace("/", ".")).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
