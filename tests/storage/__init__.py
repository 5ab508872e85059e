"""The storages: one test suite that all of them must pass, and tests specific to each."""

import pytest

pytest.register_assert_rewrite("tests.storage.suite", "tests.storage.capability_suites")
