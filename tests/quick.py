"""`python -m tests --quick`: the tests for everyday work, in less than two minutes and without PostgreSQL.

PATHS lists their paths. As a pytest plugin (`-p tests.quick`) this module deselects the tests that need PostgreSQL and
those that are slow, and reports the number of each.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

PATHS = (
    "tests/access",
    "tests/admin",
    "tests/api",
    "tests/contrib",
    "tests/maintenance",
    "tests/models",
    "tests/operations",
    "tests/s3",
    "tests/sdk",
    "tests/services",
    "tests/storage",
    "tests/telemetry",
    "tests/test_architecture.py",
    "tests/test_behaviours.py",
    "tests/test_readme.py",
    "tests/test_tasks.py",
)
#: Modules and tests that are left out: races, clients that stop or disconnect, servers of their own, tables with many
#: rows.
SLOW = (
    "tests/models/test_listing.py",
    "tests/operations/test_authentication.py::test_authentication_with_a_revoked_key_is_refused_soon",
    "tests/operations/test_bucket_races.py",
    "tests/operations/test_concurrency.py",
    "tests/operations/test_copy_source.py::test_copy_source_is_decoded_as_forms_are",
    "tests/operations/test_cut_uploads.py",
    "tests/operations/test_expect_continue.py",
    "tests/operations/test_expected_bucket_owner.py::test_account_id_stays_the_same",
    "tests/operations/test_header_injection.py",
    "tests/operations/test_host_header.py",
    "tests/operations/test_key_limit.py",
    "tests/operations/test_keys.py::test_keys_of_large_objects_and_of_parts",
    "tests/operations/test_list_objects.py::test_list_objects_at_random",
    "tests/operations/test_list_objects.py::test_list_objects_in_pages_of_every_size",
    "tests/operations/test_list_objects_v2.py::test_list_objects_v2_at_random",
    "tests/operations/test_list_objects_v2.py::test_list_objects_v2_in_pages_of_every_size",
    "tests/operations/test_list_objects_v2.py::test_list_objects_v2_with_more_than_a_thousand_keys",
    "tests/operations/test_request_documents.py::test_document_that_is_not_as_it_should_be_is_malformed",
    "tests/operations/test_request_documents.py::test_documents_of_eight_megabytes_leave_no_memory_behind",
    "tests/sdk/test_listings.py",
    "tests/admin/test_parameters.py",
    "tests/admin/test_queries.py",
    "tests/services/test_publishing.py::test_upload_of_10000_parts_is_completed",
    "tests/test_tasks.py::test_dbreset_asks_and_empties_the_store",
)
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
    # Without the parameters.
    test = item.nodeid.partition("[")[0]
    is_slow = item.get_closest_marker("slow") or test in SLOW or test.partition("::")[0] in SLOW
    return IS_SLOW if is_slow else None


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
