"""Settings of each new connection to the catalogue, whatever the database's defaults."""

import os
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

#: Setting -> (a harmful default, the value post3 sets).
HARMFUL = {
    "default_transaction_isolation": ("serializable", "read committed"),
    "synchronous_commit": ("off", "on"),
    "DateStyle": ("German", "ISO, MDY"),
    "standard_conforming_strings": ("off", "on"),
    "session_replication_role": ("replica", "origin"),
    "statement_timeout": ("200ms", "0"),
    "lock_timeout": ("200ms", "0"),
    "idle_in_transaction_session_timeout": ("200ms", "0"),
}


@pytest.fixture
def altered(postgresql: Any) -> Iterator[Callable[[str, str], None]]:
    """Yield a function that changes a setting of the test database. Undo the changes afterwards."""
    name = postgresql.settings_dict["NAME"]

    def alter(statement: str) -> None:
        with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as connection:
            connection.execute(statement)

    yield lambda setting, value: alter(f"ALTER DATABASE {name} SET {setting} = '{value}'")
    alter(f"ALTER DATABASE {name} RESET ALL")
    postgresql.close()


@pytest.mark.parametrize("setting", HARMFUL)
def test_harmful_setting_of_the_database_is_set_on_each_connection(altered: Any, postgresql: Any, setting: str) -> None:
    altered(setting, HARMFUL[setting][0])
    postgresql.close()
    with postgresql.cursor() as cursor:
        cursor.execute(f"SHOW {setting}")
        assert cursor.fetchone() == (HARMFUL[setting][1],)


@pytest.mark.parametrize("value", ["local", "remote_write"])
def test_synchronous_commit_that_waits_for_the_disk_is_kept(altered: Any, postgresql: Any, value: str) -> None:
    altered("synchronous_commit", value)
    postgresql.close()
    with postgresql.cursor() as cursor:
        cursor.execute("SHOW synchronous_commit")
        assert cursor.fetchone() == (value,)
