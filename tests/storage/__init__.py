"""The storages: one suite of tests that all of them pass, and what is particular to each."""

import pytest

pytest.register_assert_rewrite("tests.storage.suite", "tests.storage.capability_suites")
