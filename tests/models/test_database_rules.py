"""The rules and triggers of the catalogue, and what every table must follow, read from the database's own catalogue."""

from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from post3.migrations import _rules, _triggers
from post3.models import Bucket, Object

from ..upgrades.schema import read_schema

CASCADES = {(child, column, parent) for parent, children in _rules.CASCADES.items() for child, column in children}
KEYS = ("b", "a", "a/", "Z", "a\x01", "~", "é", "\ud7ff", "\ue000", "\uff5e", "😀", "\U0010ffff", "a b", "aa", "A", "_", "%")


def rows(connection: Any, sql: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall()


METADATA_AND_PARTS = ("post3_object_metadata_on_insert", "post3_object_metadata_on_update", "post3_object_parts_on_update")


def test_triggers_are_there_after_all_migrations(catalogue: Any) -> None:
    wanted = {"post3_bucket_change", *METADATA_AND_PARTS} | {
        f"{table}_release_on_{when}" for table in _triggers.REFERRERS for when in ("update", "delete")
    }
    if catalogue.vendor == "postgresql":
        found = rows(catalogue, "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal AND tgenabled = 'O'")
    else:
        found = rows(catalogue, "SELECT name FROM sqlite_master WHERE type = 'trigger'")
        wanted |= {f"{parent}_cascade" for parent in _rules.CASCADES}
    assert {name for (name,) in found if name.startswith("post3_")} == wanted


def test_triggers_can_be_dropped_and_installed_again(catalogue: Any) -> None:
    before = read_schema(catalogue)
    with catalogue.schema_editor() as editor:
        _triggers.drop_triggers(None, editor)
        assert not [name for name in read_schema(catalogue) if name.startswith("trigger ")]
        _triggers.install_triggers(None, editor)
    assert read_schema(catalogue) == before


def test_triggers_can_be_installed_twice(catalogue: Any) -> None:
    before = read_schema(catalogue)
    with catalogue.schema_editor() as editor:
        _triggers.install_triggers(None, editor)
    assert read_schema(catalogue) == before


def test_every_reference_to_a_blob_has_a_trigger(catalogue: Any) -> None:
    tables = [name for name in catalogue.introspection.table_names() if name.startswith("post3_")]
    with catalogue.cursor() as cursor:
        referring = {
            table
            for table in tables
            for column, (_, target) in catalogue.introspection.get_relations(cursor, table).items()
            if target == "post3_blob" and table != "post3_block"
        }
    assert referring == set(_triggers.REFERRERS)


def test_foreign_keys_cascade_in_postgresql(postgresql: Any) -> None:
    found = rows(
        postgresql,
        "SELECT con.conrelid::regclass::text, att.attname, con.confrelid::regclass::text, con.confdeltype FROM pg_constraint con "
        "JOIN pg_attribute att ON att.attrelid = con.conrelid AND att.attnum = con.conkey[1] WHERE con.contype = 'f' "
        "AND con.conrelid::regclass::text LIKE 'post3\\_%'",
    )
    cascading = {(table, column, target) for table, column, target, action in found if action == "c"}
    assert cascading == CASCADES | {("post3_apikey", "user_id", "auth_user")}
    # A reference to a blob must prevent its deletion.
    kept = {table for table, _, target, action in found if target == "post3_blob" and action == "a"}
    assert kept == set(_triggers.REFERRERS)


def test_delete_by_sql_of_a_referenced_blob_is_refused(catalogue: Any) -> None:
    from django.db import IntegrityError, transaction

    owner = get_user_model().objects.create_user("owner")
    bucket = Bucket.objects.create(name="bucket", owner=owner, region="x")
    now = timezone.now()
    with catalogue.cursor() as cursor:
        cursor.execute(
            "INSERT INTO post3_blob (storage_class, name, size, md5, block_size, state, created_at) "
            "VALUES ('STANDARD', '', 1, '', 0, 1, CURRENT_TIMESTAMP) RETURNING id"
        )
        blob_id = cursor.fetchone()[0]
    Object.objects.create(bucket=bucket, key="k", owner=owner, storage_class="STANDARD", last_modified=now, blob_id=blob_id)
    with pytest.raises(IntegrityError), transaction.atomic(), catalogue.cursor() as cursor:
        cursor.execute("DELETE FROM post3_blob")
    assert rows(catalogue, "SELECT count(*) FROM post3_blob") == [(1,)]


def test_block_data_is_stored_external(postgresql: Any) -> None:
    sql = "SELECT attstorage FROM pg_attribute WHERE attrelid = 'post3_block'::regclass AND attname = 'data'"
    assert rows(postgresql, sql) == [("e",)]


def test_keys_and_bucket_names_have_collation_c(postgresql: Any) -> None:
    found = rows(
        postgresql,
        "SELECT att.attrelid::regclass::text, att.attname, coll.collname FROM pg_attribute att "
        "JOIN pg_class ON pg_class.oid = att.attrelid AND relkind = 'r' JOIN pg_collation coll ON coll.oid = att.attcollation "
        "WHERE att.attrelid::regclass::text LIKE 'post3\\_%' AND attname IN ('key', 'name') AND coll.collname = 'C'",
    )
    assert {(table, column) for table, column, _ in found} >= {
        ("post3_bucket", "name"),
        ("post3_object", "key"),
        ("post3_multipartupload", "key"),
    }


def test_keys_sort_by_their_utf8_bytes(catalogue: Any) -> None:
    owner = get_user_model().objects.create_user("owner")
    bucket = Bucket.objects.create(name="bucket", owner=owner, region="x")
    fixed = {"bucket": bucket, "owner": owner, "storage_class": "STANDARD", "last_modified": timezone.now()}
    Object.objects.bulk_create(Object(key=key, **fixed) for key in KEYS)
    expected = sorted(KEYS, key=str.encode)
    assert list(Object.objects.order_by("key").values_list("key", flat=True)) == expected
    for key in KEYS:
        above = Object.objects.filter(key__gt=key).order_by("key").values_list("key", flat=True)
        assert list(above) == expected[expected.index(key) + 1 :]


def test_constraints_and_indexes_are_named_by_us(catalogue: Any) -> None:
    tables = [name for name in catalogue.introspection.table_names() if name.startswith("post3_")]
    assert len(tables) >= 11
    with catalogue.cursor() as cursor:
        constraints = {
            name
            for table in tables
            for name in catalogue.introspection.get_constraints(cursor, table)
            if not name.startswith(("__primary__", "__unnamed_constraint_"))  # SQLite's names for unnamed constraints
        }
    if catalogue.vendor == "postgresql":
        assert not {name for name in constraints if not name.startswith("post3_")}
        names = rows(catalogue, "SELECT indexname FROM pg_indexes WHERE tablename LIKE 'post3\\_%'")
    else:
        names = rows(
            catalogue, "SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL AND tbl_name LIKE 'post3_%'"
        )
    assert names and not [name for (name,) in names if not name.startswith("post3_")]


def test_two_latest_versions_of_a_key_are_impossible(catalogue: Any) -> None:
    from django.db import IntegrityError, transaction

    owner = get_user_model().objects.create_user("owner")
    bucket = Bucket.objects.create(name="bucket", owner=owner, region="x")
    fixed = {"bucket": bucket, "key": "k", "owner": owner, "storage_class": "STANDARD", "last_modified": timezone.now()}
    Object.objects.create(version_id="1", sequence=1, **fixed)
    with pytest.raises(IntegrityError), transaction.atomic():
        Object.objects.create(version_id="2", sequence=2, **fixed)
    Object.objects.create(version_id="2", sequence=2, is_latest=False, **fixed)
