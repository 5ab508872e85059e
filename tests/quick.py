"""`python -m tests --quick`: the tests for everyday work, in less than 90 seconds and without PostgreSQL.

PATHS lists what takes part. As a pytest plugin (`-p tests.quick`) this module leaves out the tests there that need PostgreSQL and
those that are slow. It deselects them, so that pytest counts them apart, and reports the number for each reason.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

#: The runs of a quick test, side by side, and their paths.
PATHS = {
    "S3 over HTTP": ("tests/operations",),
    "in process": (
        "tests/contrib",
        "tests/models",
        "tests/s3",
        "tests/sdk",
        "tests/services",
        "tests/storage",
        "tests/test_architecture.py",
        "tests/test_behaviours.py",
        "tests/test_readme.py",
        "tests/test_tasks.py",
    ),
}
NEEDS_POSTGRESQL, IS_SLOW = "on PostgreSQL", "slow"
#: Begins the names of the report's properties.
PROPERTY = "left out: "
LEFT_OUT = pytest.StashKey[Counter[str]]()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    reasons = [reason(item) for item in items]
    config.stash[LEFT_OUT] = Counter(filter(None, reasons))
    config.hook.pytest_deselected(items=[item for item, why in zip(items, reasons, strict=True) if why])
    items[:] = [item for item, why in zip(items, reasons, strict=True) if not why]


def reason(item: pytest.Item) -> str | None:
    """Return why a test is left out, or None where it runs."""
    parameters = item.callspec.params.values() if hasattr(item, "callspec") else ()
    if "postgresql" in getattr(item, "fixturenames", ()) or _names_postgresql(parameters):
        return NEEDS_POSTGRESQL
    return IS_SLOW if item.get_closest_marker("slow") else None


def _names_postgresql(values: Iterable[Any]) -> bool:
    """Whether one of these is a kind of server on PostgreSQL, or a tuple with such a kind."""
    return any(
        value.startswith("postgresql-") if isinstance(value, str) else isinstance(value, tuple) and _names_postgresql(value)
        for value in values
    )


@pytest.fixture(scope="session", autouse=True)
def _report_what_is_left_out(request: pytest.FixtureRequest, record_testsuite_property: Any) -> None:
    """Write the numbers into the report that `tests/__main__.py` reads."""
    for why, count in request.config.stash[LEFT_OUT].items():
        record_testsuite_property(f"{PROPERTY}{why}", count)
