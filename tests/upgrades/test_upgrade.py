"""Every frozen store is upgraded by `migrate` and keeps all its contents. It is read completely over HTTP, then used.

Each store is upgraded once, with one server, and read once before any test changes it.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from ..cluster import create_database, drop_database
from ..conftest import POSTGRESQL_URL
from ..console.test_console import Browser
from ..helpers import query, refusal
from ..operations.multipart import send
from ..servers import Server
from . import reading
from .commands import Commands, Result
from .content import ABORTED_UPLOAD, ABROAD, CONTINUED_UPLOAD, MAIN, OVERTAKEN_UPLOAD, SMALL_PARTS, User, made_parts
from .freezing import ENVIRONMENT, STORES, expected_of, restore, unpack
from .tables import count_columns, vendor_of

#: Columns that a migration deliberately emptied or removed: "table.column" -> SQL that counts the same values in their
#: new place, and the distinct ones.
MOVED = {
    "post3_multipartupload.key_sequence": "SELECT count(*) FILTER (WHERE key_revision <> 0), count(DISTINCT key_revision) "
    "FROM post3_multipartupload",
    **{
        f"post3_multipartuploadmetadata.{column}": f"SELECT count({new}), count(DISTINCT {new}) FROM post3_multipartupload u, "
        "{each}(u.metadata) AS m"
        for column, new in {"id": "u.id || m.key", "upload_id": "u.id", "name": "m.key", "value": "m.value"}.items()
    },
}
#: The function that lists the entries of JSON as rows.
EACH = {"sqlite": "json_each", "postgresql": "jsonb_each_text"}

RELEASES = sorted(path for path in STORES.iterdir() if path.is_dir())
FROZEN = [(release, kind) for release in RELEASES for kind in expected_of(release)]
#: Garbage is collected immediately.
AT_ONCE = {"POST3_GARBAGE_GRACE_SECONDS": "0", "POST3_PENDING_UPLOAD_SECONDS": "0"}


@dataclass
class Upgraded:
    """An upgraded store: the contents seen by the release that froze it, the upgrade, and the contents seen now."""

    server: Server
    commands: Commands
    expected: dict[str, Any]
    #: The result of a command before `migrate`, and whether there was anything to migrate.
    before: Result
    was_due: bool
    columns: dict[str, dict[str, Any]]
    buckets: dict[str, Any] = field(default_factory=dict)
    metrics: list[list[Any]] = field(default_factory=list)

    @cached_property
    def users(self) -> list[User]:
        """The users of the store's keys. The last key is revoked."""
        return [User.of(self.server, key["access_key"], key["secret_key"]) for key in self.expected["keys"]]


@pytest.fixture(scope="module", params=FROZEN, ids=[f"{release.name}-{kind}" for release, kind in FROZEN])
def store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgraded]:
    release, kind = request.param
    with contextlib.ExitStack() as stack:
        url = stack.enter_context(fresh_database()) if kind.startswith("postgresql") else ""
        server = restore(release, kind, tmp_path_factory.mktemp("upgraded"), url)
        server.environment |= AT_ONCE
        commands = stack.enter_context(Commands(server))
        applied, before = applied_to(server), commands("list_api_keys")
        migrated = commands("migrate", "--no-input")
        assert migrated.status == 0, migrated.stderr
        was_due = applied_to(server) != applied
        store = Upgraded(server, commands, expected_of(release)[kind], before, was_due, count_columns(server))
        stack.callback(server.stop)
        server.run()
        store.metrics = reading.read_metrics(server)
        store.buckets = reading.read_buckets(store.users[:2])
        yield store


def applied_to(server: Server) -> set[str]:
    """Return the migrations of post3 that are recorded in a catalogue."""
    return {name for (name,) in query(server, "SELECT name FROM django_migrations WHERE app = 'post3'")}


@contextlib.contextmanager
def fresh_database() -> Iterator[str]:
    if not POSTGRESQL_URL:
        pytest.fail("needs PostgreSQL: run `python -m tests`, which starts one", pytrace=False)
    url = create_database(POSTGRESQL_URL)
    try:
        yield url
    finally:
        drop_database(POSTGRESQL_URL, url)


def test_migrate_is_requested_if_needed_and_works(store: Upgraded) -> None:
    if store.was_due:
        assert (store.before.status, store.before.stdout) == (1, "")
        assert store.before.stderr.count("\n") == 1 and "Run `migrate`." in store.before.stderr
    else:
        assert (store.before.status, store.before.stderr) == (0, "")
    assert "No migrations to apply." in store.commands("migrate", "--no-input").stdout
    for nothing_left in (("migrate", "--check"), ("makemigrations", "--check", "--dry-run")):
        assert store.commands(*nothing_left).status == 0


def test_no_column_loses_values(store: Upgraded) -> None:
    lost = {}
    for table, counted in store.expected["tables"].items():
        for column, (filled, different) in counted["columns"].items():
            name = f"{table}.{column}"
            if name in MOVED:
                found = query(store.server, MOVED[name].format(each=EACH[vendor_of(store.server)]))[0]
            else:
                found = store.columns.get(table, {}).get("columns", {}).get(column, (0, 0))
            if filled and (found[0] < filled or found[1] < different):
                lost[name] = f"{found} instead of {(filled, different)} (values, distinct values)"
    assert not lost


def test_all_rows_are_seen_over_http(store: Upgraded) -> None:
    rows = {table: counted["rows"] for table, counted in store.expected["tables"].items()}
    buckets = list(store.buckets.values())
    objects = [found for bucket in buckets for found in bucket["objects"].values()]
    uploads = [upload for bucket in buckets for upload in bucket["uploads"]]
    assert {
        "post3_bucket": len(buckets),
        "post3_object": len(objects),
        "post3_objectmetadata": sum(len(found["metadata"]) for found in objects),
        "post3_objectpart": sum(len(found.get("parts", ())) for found in objects),
        "post3_multipartupload": len(uploads),
        "post3_uploadpart": sum(len(upload["parts"]) for upload in uploads),
        "post3_apikey": len(json.loads(store.commands("list_api_keys", "--json").stdout)),
    }.items() <= rows.items()


def test_every_bucket_is_listed_as_before(store: Upgraded) -> None:
    assert store.buckets.keys() == store.expected["buckets"].keys()
    for name, expected in store.expected["buckets"].items():
        for what in expected.keys() - {"objects"}:
            assert store.buckets[name][what] == expected[what], (name, what)


def test_every_object_is_read_as_before(store: Upgraded) -> None:
    check_objects(store.buckets, store.expected["buckets"])


def check_objects(found: dict[str, Any], expected: dict[str, Any]) -> None:
    for bucket, known in expected.items():
        assert found[bucket]["objects"].keys() == known["objects"].keys()
        for key, was in known["objects"].items():
            assert without_new_headers(found[bucket]["objects"][key], was) == was, (bucket, key)


def without_new_headers(found: dict[str, Any], was: dict[str, Any]) -> dict[str, Any]:
    """Return the description of an object without headers that the freezing release did not send."""
    known = {**found, "headers": {name: value for name, value in found["headers"].items() if name in was["headers"]}}
    if "parts" in found:
        parts = was.get("parts", {})
        known["parts"] = {number: without_new_headers(part, parts.get(number, part)) for number, part in found["parts"].items()}
    return known


def test_figures_of_the_worker_are_kept(store: Upgraded) -> None:
    assert not [entry for entry in store.expected["metrics"] if entry not in store.metrics]


def test_active_keys_sign_and_revoked_ones_are_refused(store: Upgraded) -> None:
    for number, key in enumerate(store.expected["keys"]):
        s3 = store.users[number].s3
        if key["active"]:
            assert s3.get_object(Bucket=MAIN, Key="size/1")["ContentLength"] == 1
        else:
            assert refusal(s3.get_object, Bucket=MAIN, Key="size/1").code == "InvalidAccessKeyId"
    assert json.loads(store.commands("list_api_keys", "--json").stdout) == store.expected["api_keys"]


def test_account_keeps_its_id(store: Upgraded) -> None:
    s3, account = store.users[0].s3, store.expected["api_keys"][0]["account"]
    s3.head_bucket(Bucket=MAIN, ExpectedBucketOwner=account)
    assert refusal(s3.list_objects_v2, Bucket=MAIN, ExpectedBucketOwner="1" * 12).code == "AccessDenied"


def test_users_are_kept_and_log_in(store: Upgraded) -> None:
    users = query(store.server, "SELECT username, is_superuser, is_staff, is_active FROM auth_user")
    assert sorted(map(list, users)) == store.expected["users"]
    browser, console = Browser(store.server), store.expected["console"]
    browser.get("/_/admin/login/")
    browser.post("/_/admin/login/", username=console["user"], password=console["password"], next="/_/admin/")
    assert "Object storage" in browser.page


def test_tags_are_kept(store: Upgraded) -> None:
    """Read with SQL, because no operation reads tags yet."""
    tags = query(store.server, "SELECT o.key, t.key, t.value FROM post3_objecttag t JOIN post3_object o ON o.id = t.object_id")
    assert sorted(map(list, tags)) == sorted(store.expected["tags"])


def uploads_of(store: Upgraded) -> Iterator[tuple[User, str, dict[str, Any]]]:
    """Yield the uploads in progress, with a user and the bucket."""
    for number, bucket in enumerate((MAIN, ABROAD)):
        for upload in store.expected["buckets"][bucket]["uploads"]:
            yield store.users[number], bucket, upload


def test_uploads_are_completed(store: Upgraded) -> None:
    completed = store.expected["completed"]
    for user, bucket, upload in uploads_of(store):
        if upload["UploadId"] not in completed:
            continue
        if upload["Key"] == OVERTAKEN_UPLOAD:
            conflict = refusal(reading.complete_upload, user=user, bucket=bucket, upload=upload, IfNoneMatch="*")
            assert conflict.code == "ConditionalRequestConflict"  # B073
        made, was = reading.complete_upload(user, bucket, upload), completed[upload["UploadId"]]
        for seen in (made, was, *made["parts"].values(), *was["parts"].values()):
            del seen["headers"]["last-modified"]
        assert without_new_headers(made, was) == was, upload
    assert len(completed) > 5


def test_uploads_are_aborted(store: Upgraded) -> None:
    aborted = []
    for user, bucket, upload in uploads_of(store):
        if not upload["parts"] or upload["Key"] == ABORTED_UPLOAD:
            named = {"Bucket": bucket, "Key": upload["Key"], "UploadId": upload["UploadId"]}
            user.s3.abort_multipart_upload(**named)
            assert refusal(user.s3.list_parts, **named).code == "NoSuchUpload"
            aborted.append(upload["Key"])
    assert len(aborted) == 3


def test_upload_is_continued(store: Upgraded) -> None:
    """A part from before the upgrade is replaced, another one is kept, and a third is added."""
    user, bucket, upload = next(found for found in uploads_of(store) if found[2]["Key"] == CONTINUED_UPLOAD)
    bodies = made_parts(CONTINUED_UPLOAD, SMALL_PARTS) | {2: b"replaced", 3: b"new"}
    send(user.s3, bucket, upload["Key"], upload["UploadId"], {number: bodies[number] for number in (2, 3)})
    upload = {**upload, "parts": reading.read_upload_parts(user, bucket, upload)}
    made = reading.complete_upload(user, bucket, upload)
    assert made["sha256"] == hashlib.sha256(b"".join(bodies.values())).hexdigest()


@pytest.mark.parametrize(
    "key", ["size/0", "size/1", "size/3145728", "metadata", "parts/plain", "parts/CRC32-FULL_OBJECT", "copy/of parts"]
)
def test_objects_are_copied_overwritten_and_deleted(store: Upgraded, key: str) -> None:
    user, was = store.users[0], store.expected["buckets"][MAIN]["objects"][key]
    user.s3.copy_object(Bucket=MAIN, Key="a copy", CopySource={"Bucket": MAIN, "Key": key})
    user.s3.put_object(Bucket=MAIN, Key=key, Body=b"new", Metadata={"new": "1"})
    overwritten, copy = reading.read_object(user, MAIN, key), reading.read_object(user, MAIN, "a copy")
    assert overwritten["metadata"] == {"new": "1"} and overwritten["headers"]["content-length"] == "3"
    assert (copy["sha256"], copy["metadata"]) == (was["sha256"], was["metadata"])
    user.s3.copy_object(Bucket=MAIN, Key=key, CopySource={"Bucket": MAIN, "Key": "a copy"})
    user.s3.delete_object(Bucket=MAIN, Key="a copy")
    again = reading.read_object(user, MAIN, key)
    assert (again["sha256"], again["metadata"], again.get("parts", {}).keys()) == (
        was["sha256"],
        was["metadata"],
        was.get("parts", {}).keys(),
    )
    user.s3.delete_object(Bucket=MAIN, Key=key)
    assert refusal(user.s3.get_object, Bucket=MAIN, Key=key).code == "NoSuchKey"


def test_garbage_is_collected_and_only_the_damage_is_found(store: Upgraded) -> None:
    once = store.commands("run_worker", "--once")
    assert once.status == 0 and int(once.stdout.split(": ")[1].split()[0]) > 0, once
    assert store.commands("collect_garbage").status == 0
    checked = store.commands("check_storage", "--verify", "--json")
    finding, summary = map(json.loads, checked.stdout.splitlines())
    assert (checked.status, finding["kind"], finding["affected"]) == (2, "damaged", [store.expected["damaged"]])
    assert (summary["collectable"], summary["young"]) == (0, 0)
    store.users[0].s3.delete_object(Bucket=MAIN, Key=store.expected["damaged"][1])
    store.commands("collect_garbage")
    checked = store.commands("check_storage", "--verify")
    assert (checked.status, checked.stdout.splitlines()[1]) == (0, "no problems")


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
def test_catalogue_is_rebuilt_from_the_files_of_a_frozen_store(release: Path, tmp_path: Path) -> None:
    expected = expected_of(release)["sqlite-files"]
    server = Server(tmp_path, {**ENVIRONMENT, "POST3_SECRET_KEY": ""})
    data = Path(server.environment["POST3_DATA_DIR"])
    unpack(release, "sqlite-files", data)
    (data / "catalogue.sqlite3").unlink()
    with Commands(server) as commands:
        assert commands("migrate", "-v", "0").status == 0
        rebuilt = commands("rebuild_catalog", "--verify", "--json")
        told = json.loads(rebuilt.stdout)
        assert (rebuilt.status, told["objects"]) == (2, expected["tables"]["post3_object"]["rows"])
        bucket, key = expected["damaged"]
        assert [fault["reason"].partition(": ")[0] for fault in told["faults"]] == [f"{bucket}/{key}"]
        keys = [json.loads(commands("create_api_key", "--user", user[0], "--json").stdout) for user in expected["users"]]
        assert keys[0]["AWS_ACCOUNT_ID"] == expected["api_keys"][0]["account"]
    users = [User.of(server, made["AWS_ACCESS_KEY_ID"], made["AWS_SECRET_ACCESS_KEY"]) for made in keys]
    server.run()
    try:
        found = reading.read_buckets(users)
    finally:
        server.stop()
    check_objects(found, expected["buckets"])
    for name, was in expected["buckets"].items():
        assert (found[name]["listed"], found[name]["created"]) == (was["listed"], was["created"])
