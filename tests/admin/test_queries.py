"""The console's database queries: one page, read by an index, however large the table. Runs on both databases."""

import base64
import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, connections, transaction
from django.test import Client, override_settings
from django.utils import timezone

from post3.admin.pages import prefix_filter
from post3.models import Blob, Bucket, MultipartUpload, Object, ObjectPart
from post3.web.origins import CONSOLE_URLCONF

from ..conftest import empty
from .console import ConsoleClient

ROWS = 2000


@pytest.fixture(scope="module")
def rows(_migrated: None) -> Iterator[None]:
    """Two buckets with the same number of keys, made once. Each test rolls back what it adds."""
    owner = get_user_model().objects.create_superuser("root")
    for name in ("photos", "videos"):
        bucket = Bucket.objects.create(name=name, owner=owner, region="us-east-1")
        Object.objects.bulk_create(made_object(bucket, f"{name}/{i:06}.jpg") for i in range(ROWS))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")  # as autovacuum does; without statistics, plans are arbitrary
    yield
    empty(connection)
    connections.close_all()


@pytest.fixture
def owner(rows: None) -> Iterator[Any]:
    with transaction.atomic():
        yield get_user_model().objects.get(username="root")
        transaction.set_rollback(True)


@pytest.fixture
def photos(owner: Any) -> Bucket:
    """A bucket of many keys, beside another with as many."""
    return Bucket.objects.get(name="photos")


@pytest.fixture
def console(owner: Any) -> Iterator[Client]:
    with override_settings(ROOT_URLCONF=CONSOLE_URLCONF):
        client = ConsoleClient()
        client.force_login(owner)
        yield client


def made_object(bucket: Bucket, key: str, **values: Any) -> Object:
    fixed = {"owner_id": bucket.owner_id, "storage_class": "STANDARD", "last_modified": timezone.now(), "etag": "0" * 32}
    return Object(bucket=bucket, key=key, **{**fixed, **values})


def statements_of(console: Client, url: str, **query: Any) -> tuple[Any, list[tuple[str, Any]]]:
    """Get a page. Return the response and the statements on post3's tables, with their parameters."""
    seen = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if "post3_" in sql:
            seen.append((sql, params))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(note):
        response = console.get(url, query)
    return response, seen


def plan_of(sql: str, params: Any) -> str:
    with connection.cursor() as cursor:
        cursor.execute(f"{'EXPLAIN' if connection.vendor == 'postgresql' else 'EXPLAIN QUERY PLAN'} {sql}", params)
        return "\n".join(str(row) for row in cursor.fetchall())


def keys_of(response: Any) -> list[str]:
    return [row.key for row in response.context_data["cl"].result_list]


def pages_from(console: Client, url: str, query: dict[str, Any]) -> Iterator[Any]:
    response = console.get(url, query)
    while True:
        yield response.context_data["cl"]
        if not response.context_data["cl"].next_url:
            return
        response = console.get(url + response.context_data["cl"].next_url)


OBJECTS = "/_/admin/post3/object/"


@pytest.mark.parametrize("latest", [True, False], ids=["latest", "all-versions"])
@pytest.mark.parametrize("search", ["", "photos/00"])
def test_object_list_reads_one_page_by_the_index_and_counts_nothing(
    console: Client, photos: Bucket, latest: bool, search: str
) -> None:
    query = {"bucket__id__exact": photos.pk, "q": search, **({"is_latest__exact": 1} if latest else {})}
    first = console.get(OBJECTS, query)
    position = parse_qs(first.context_data["cl"].next_url[1:]).get("p")
    for further in ({}, {"p": position}) if position else ({},):
        response, statements = statements_of(console, OBJECTS, **query, **further)
        assert response.status_code == 200
        assert not [sql for sql, _ in statements if "COUNT(" in sql.upper() or "LIKE" in sql.upper()]
        (page,) = [(sql, params) for sql, params in statements if "LIMIT 101" in sql]
        plan = plan_of(*page)
        assert re.search(r"SEARCH post3_object USING INDEX|Index Scan using post3_object_\w+ on post3_object ", plan), plan
        # With a sort in the plan, the whole range is read and sorted before the first row is shown.
        assert "TEMP B-TREE" not in plan and "Sort" not in plan, plan


def test_object_list_pages_forward_and_back_over_every_key_once(console: Client, photos: Bucket) -> None:
    pages = list(pages_from(console, OBJECTS, {"bucket__id__exact": photos.pk}))
    keys = [row.key for page in pages for row in page.result_list]
    assert keys == [f"photos/{i:06}.jpg" for i in range(ROWS)]
    assert not pages[0].previous_url and not pages[0].first_url
    back = console.get(OBJECTS + pages[2].previous_url)
    assert keys_of(back) == [row.key for row in pages[1].result_list]
    first = console.get(OBJECTS + back.context_data["cl"].previous_url)
    assert keys_of(first) == [row.key for row in pages[0].result_list]
    assert not first.context_data["cl"].previous_url and first.context_data["cl"].next_url


def test_object_list_of_all_versions_pages_within_one_key(console: Client, photos: Bucket) -> None:
    Object.objects.bulk_create(
        made_object(photos, "a", version_id=f"v{i}", sequence=i, is_latest=i == 250) for i in range(1, 251)
    )
    query = {"bucket__id__exact": photos.pk, "q": "a"}
    seen = [row.sequence for page in pages_from(console, OBJECTS, query) for row in page.result_list]
    assert seen == list(range(1, 251))


@pytest.mark.parametrize("prefix", ["a", "A", "%", "_", "ü", "\ud7ff", "\U0010ffff", "a\U0010ffff", "\n", "<b>", "'"])
def test_prefix_search_finds_exactly_the_keys_with_that_prefix(owner: Any, prefix: str) -> None:
    bucket = Bucket.objects.create(name="odd", owner=owner, region="us-east-1")
    others = ["a", "aa", "b", "A", "%", "_x", "ü", "üb", "v", "\ud7ff!", "\ue000", "\U0010ffff", "a\U0010ffffz", "\n", "<b>", "'"]
    keys = sorted({*others, prefix}, key=str.encode)
    Object.objects.bulk_create(made_object(bucket, key) for key in keys)
    found = Object.objects.filter(prefix_filter("key", prefix), bucket=bucket).order_by("key")
    assert [row.key for row in found] == [key for key in keys if key.startswith(prefix)]


def test_object_list_shows_odd_keys_escaped(console: Client, photos: Bucket) -> None:
    made_object(photos, "!<script>\n\x01").save()
    page = console.get(OBJECTS, {"bucket__id__exact": photos.pk}).content.decode()
    assert "!&lt;script&gt;\\n\\x01" in page and "<script>\n" not in page.partition("result_list")[2]


@pytest.mark.parametrize("query", [{}, {"bucket__id__exact": "x"}, {"bucket__id__exact": 10**30}, {"e": 1}])
def test_object_list_without_a_bucket_redirects_to_the_buckets(console: Client, owner: Any, query: dict[str, Any]) -> None:
    response = console.get(OBJECTS, query)
    assert (response.status_code, response["Location"]) == (302, "/_/admin/post3/bucket/")


@pytest.mark.parametrize("lookup", [{"size__gt": 1}, {"etag": "x"}, {"key__contains": "x"}, {"is_latest__exact": 0}])
def test_filters_without_an_index_are_refused(console: Client, photos: Bucket, lookup: dict[str, Any]) -> None:
    assert console.get(OBJECTS, {"bucket__id__exact": photos.pk, **lookup}).status_code == 400


@pytest.mark.parametrize("text", ["", "[]", "{}", "[1, 2, 3]", '[false, {"a": 1}]', r'[false, "\ud800"]', r'[false, "\u0000"]'])
def test_malformed_position_returns_a_page(console: Client, photos: Bucket, text: str) -> None:
    position = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=") or "é!"
    response = console.get(OBJECTS, {"bucket__id__exact": photos.pk, "is_latest__exact": 1, "p": position}, follow=True)
    assert response.status_code == 200


def test_orders_in_the_address_are_ignored(console: Client, photos: Bucket) -> None:
    _, statements = statements_of(console, OBJECTS, bucket__id__exact=photos.pk, o="-2.1")
    assert not [sql for sql, _ in statements if "size" in sql.partition("ORDER BY")[2]]


def test_object_page_shows_metadata_and_the_first_parts_only(console: Client, photos: Bucket) -> None:
    obj = made_object(photos, "big", parts_count=10_000)
    obj.metadata = {"camera": "<Leica>"}
    obj.save()
    ObjectPart.objects.bulk_create(ObjectPart(object=obj, part_number=n, offset=n, size=1) for n in range(1, 10_001))
    response, statements = statements_of(console, f"{OBJECTS}{obj.pk}/change/")
    page = response.content.decode()
    assert "camera" in page and "&lt;Leica&gt;" in page and "(first 100)" in page
    assert len(statements) < 12 and not [sql for sql, _ in statements if "COUNT(" in sql.upper()]
    parts = list(pages_from(console, "/_/admin/post3/objectpart/", {"object__id__exact": obj.pk}))
    assert len(parts) == 100 and parts[99].result_list[-1].part_number == 10_000


@pytest.mark.parametrize("filtered", [False, True])
def test_upload_list_reads_one_page_by_an_index(console: Client, photos: Bucket, filtered: bool) -> None:
    now = timezone.now()
    fixed = {"bucket": photos, "owner_id": photos.owner_id, "storage_class": "STANDARD"}
    MultipartUpload.objects.bulk_create(
        MultipartUpload(upload_id=f"u{i}", key=f"k{i:05}", initiated_at=now + timedelta(seconds=i), **fixed) for i in range(ROWS)
    )
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    query = {"bucket__id__exact": photos.pk, "q": "k"} if filtered else {}
    pages = list(pages_from(console, "/_/admin/post3/multipartupload/", query))
    assert len({row.pk for page in pages for row in page.result_list}) == ROWS
    _, statements = statements_of(console, "/_/admin/post3/multipartupload/", **query)
    (page,) = [(sql, params) for sql, params in statements if "LIMIT 101" in sql]
    plan = plan_of(*page)
    assert ("post3_upload_key" if filtered else "post3_upload_initiated") in plan, plan


def test_damaged_blobs_are_listed_by_their_index(console: Client, photos: Bucket) -> None:
    fixed = {"storage_class": "STANDARD", "size": 10, "md5": "0" * 32, "created_at": timezone.now()}
    states = [Blob.State.STORED if number % 20 else Blob.State.DAMAGED for number in range(ROWS)]
    blobs = Blob.objects.bulk_create(Blob(**fixed, name=f"b/aa/{number}", state=state) for number, state in enumerate(states))
    damaged = [blob for blob in blobs if blob.state == Blob.State.DAMAGED]
    made_object(photos, "lost <b>", blob=damaged[-1], size=10).save()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    response, statements = statements_of(console, "/_/admin/post3/blob/")
    assert "photos/lost &lt;b&gt;" in response.content.decode()
    (page,) = [(sql, params) for sql, params in statements if "LIMIT 26" in sql]
    plan = plan_of(*page)
    assert "post3_blob_damaged" in plan and "TEMP B-TREE" not in plan and "Sort" not in plan, plan
    pages = pages_from(console, "/_/admin/post3/blob/", {})
    assert [row.pk for page in pages for row in page.result_list] == [blob.pk for blob in reversed(damaged)]


@pytest.mark.parametrize("model", ["blob", "bucket", "object", "objectpart", "multipartupload", "uploadpart"])
def test_catalogue_is_read_only(console: Client, photos: Bucket, model: str) -> None:
    assert console.get(f"/_/admin/post3/{model}/add/").status_code == 403
    if model in ("bucket", "object"):
        row = photos if model == "bucket" else Object.objects.first()
        for action in ("change", "delete"):
            assert console.post(f"/_/admin/post3/{model}/{row.pk}/{action}/", {"post": "yes"}).status_code == 403
