"""The squashed migration has the same result as those that it replaces, and a store at any of these continues."""

import contextlib
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dj_database_url
import pytest
from django.core.management import call_command
from django.db import connections, transaction
from django.db.migrations.executor import MigrationExecutor
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.recorder import MigrationRecorder

from post3.catalogue import schema
from post3.models import Account
from post3_site.environment import SQLITE_ENGINE, sqlite_options

from .schema import Schema, read_schema
from .test_upgrade import fresh_database

SQUASHED = "0001_squashed_0014_autovacuum_of_objects"
REPLACED: tuple[str, ...] = importlib.import_module(f"post3.migrations.{SQUASHED}").REPLACED


@contextlib.contextmanager
def empty_database(kind: str, directory: Path) -> Iterator[Any]:
    """Yield a connection to an empty database."""
    with contextlib.ExitStack() as stack:
        if kind == "postgresql":
            database = dict(dj_database_url.parse(stack.enter_context(fresh_database())))
        else:
            database = {"ENGINE": SQLITE_ENGINE, "NAME": str(directory / "catalogue.sqlite3"), "OPTIONS": sqlite_options({})}
        alias = f"{kind}-{directory.name}"
        connections.settings |= connections.configure_settings({**connections.settings, alias: database})
        stack.callback(connections.settings.pop, alias)
        connection = connections[alias]
        stack.callback(connections.__delitem__, alias)
        stack.callback(connection.close)
        yield connection


def migrate(connection: Any, *arguments: str, **options: Any) -> None:
    call_command("migrate", "post3", *arguments, database=connection.alias, interactive=False, verbosity=0, **options)


def migrate_one_by_one(connection: Any, target: str) -> None:
    """Apply the replaced migrations up to `target`, as releases without the squashed one did."""
    executor = MigrationExecutor(connection)
    executor.loader = MigrationLoader(connection, replace_migrations=False)
    executor.loader.replacements.clear()
    executor.migrate([("post3", target)])


def applied_to(connection: Any) -> set[str]:
    return {name for app, name in MigrationRecorder(connection).applied_migrations() if app == "post3"}


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def database(kind: str, tmp_path: Path) -> Iterator[Any]:
    """A connection to an empty database."""
    with empty_database(kind, tmp_path) as connection:
        yield connection


@pytest.fixture(scope="module")
def squashed(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A connection to a database that only the squashed migration created. Tests must not change it."""
    with empty_database(kind, tmp_path_factory.mktemp("squashed")) as connection:
        migrate(connection, SQUASHED)
        yield connection


@pytest.fixture(scope="module")
def expected(squashed: Any) -> Schema:
    return read_schema(squashed)


def test_squashed_migration_replaces_all_migrations_before_it() -> None:
    loader = MigrationLoader(None, replace_migrations=False)
    names = {name for app, name in loader.disk_migrations if app == "post3" and name <= REPLACED[-1]}
    assert names == {SQUASHED, *REPLACED}


@pytest.mark.parametrize("name", REPLACED)
def test_store_at_any_replaced_migration_continues_to_the_same_schema(database: Any, name: str, expected: Schema) -> None:
    migrate_one_by_one(database, name)
    assert applied_to(database) == set(REPLACED[: REPLACED.index(name) + 1])
    accounts = list(Account.objects.using(database.alias).values_list("account_id")) if name >= "0008" else None
    migrate(database, SQUASHED)  # or to the last replaced one, if some are applied
    assert read_schema(database) == expected
    assert accounts in (None, list(Account.objects.using(database.alias).values_list("account_id")))
    migrate(database)
    migrate(database, check_unapplied=True)  # exits if a migration is not applied
    MigrationLoader(database).check_consistent_history(database)
    assert applied_to(database) >= {SQUASHED, *REPLACED}


def test_fresh_store_has_one_account_and_all_records(squashed: Any) -> None:
    assert Account.objects.using(squashed.alias).count() == 1
    assert applied_to(squashed) == {SQUASHED, *REPLACED}
    migrate(squashed, SQUASHED, check_unapplied=True)


def test_store_at_the_last_replaced_migration_has_the_schema_of_a_fresh_one(database: Any, expected: Schema) -> None:
    migrate_one_by_one(database, REPLACED[-1])
    assert read_schema(database) == expected


#: Changes of each kind of thing that a migration could omit.
CHANGES = {
    "sqlite": (
        "DROP TRIGGER post3_object_release_on_update",
        "DROP TRIGGER post3_blob_cascade",
        "DROP INDEX post3_blob_damaged",
        "ALTER TABLE post3_object ADD COLUMN more TEXT",
        "ALTER TABLE post3_object RENAME COLUMN sidecar TO more",
    ),
    "postgresql": (
        "DROP TRIGGER post3_object_release_on_update ON post3_object",
        "ALTER TABLE post3_bucket DISABLE TRIGGER post3_bucket_change",
        "DROP FUNCTION post3_list_flat",
        "ALTER FUNCTION post3_list_flat RESET ALL",
        "DROP INDEX post3_blob_damaged",
        "DROP INDEX post3_object_latest; "
        "CREATE UNIQUE INDEX post3_object_latest ON post3_object (bucket_id, key) WHERE is_latest",
        "ALTER TABLE post3_object DROP CONSTRAINT post3_object_size",
        "ALTER TABLE post3_object ALTER revision DROP DEFAULT",
        "ALTER TABLE post3_object ALTER key TYPE text COLLATE \"default\"",
        "ALTER TABLE post3_object ALTER data SET STORAGE EXTENDED",
        "ALTER TABLE post3_object ALTER id DROP IDENTITY",
        "ALTER SEQUENCE post3_object_id_seq CACHE 10",
        "ALTER TABLE post3_block RESET (autovacuum_vacuum_threshold)",
        "ALTER TABLE post3_block RESET (toast.autovacuum_vacuum_threshold)",
    ),
}  # fmt: skip


def test_comparison_of_schemas_detects_every_kind_of_difference(kind: str, squashed: Any, expected: Schema) -> None:
    for change in CHANGES[kind]:
        with transaction.atomic(squashed.alias):
            with squashed.cursor() as cursor:
                cursor.execute(change)
            assert read_schema(squashed) != expected, change
            transaction.set_rollback(True, squashed.alias)
    assert read_schema(squashed) == expected


@pytest.mark.parametrize("is_upgraded", [False, True], ids=["fresh", "upgraded"])
def test_migrating_back_to_zero_removes_everything(database: Any, is_upgraded: bool, expected: Schema) -> None:
    if is_upgraded:
        migrate_one_by_one(database, REPLACED[-1])
    migrate(database)
    migrate(database, "zero")
    assert (read_schema(database), applied_to(database)) == ({}, set())
    migrate(database, SQUASHED)
    assert read_schema(database) == expected


#: The migrations to which a store can be migrated back. On SQLite, 0012 cannot be reversed.
BACK = {"sqlite": ("0012",), "postgresql": ("0012", "0010", "0002")}


def test_fresh_store_is_migrated_back_to_a_replaced_migration_and_forward(kind: str, database: Any, expected: Schema) -> None:
    migrate(database, SQUASHED)
    for name in BACK[kind]:
        migrate(database, name)
        assert max(applied_to(database) - {SQUASHED}).startswith(name)
    migrate(database, SQUASHED)
    assert read_schema(database) == expected


def test_message_names_the_first_missing_migration(database: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store at the last replaced migration only lacks the record of the squashed one, which `migrate` adds."""
    monkeypatch.setattr(schema, "_connection", lambda: database)
    for name, missing in (("0010_console", "0011_bucket_settings"), (REPLACED[-1], SQUASHED)):
        migrate_one_by_one(database, name)
        with pytest.raises(schema.CatalogueFault, match=f"older release .*{missing} is missing.*Run `migrate`"):
            schema.require_tables()
    migrate(database)
    schema.require_tables()
