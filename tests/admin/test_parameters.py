"""Whatever the parameters of the console's URLs, the response is a page, a redirect or a refusal.

Runs on both databases.
"""

import base64
import json
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client

from post3.models import ApiKey, Blob, Bucket, MultipartUpload, Object, ObjectPart

from .console import ConsoleClient
from .test_queries import console, made_object, owner, rows  # noqa: F401  (fixtures)


def packed(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return base64.urlsafe_b64encode(text.encode("utf-8", "surrogatepass")).decode().rstrip("=")


#: Percent-encoded values to put after the equals sign.
VALUES = [
    *(
        "",
        "0",
        "1",
        "-1",
        "x",
        "null",
        "true",
        "1.5",
        "1e9",
        "%00",
        "%ED%A0%80",
        "%F0%9F%98%80",
        "%E2%80%AE",
        "%FF%FE",
        "%0d%0aX:1",
    ),
    *(
        "9" * 19,
        "9" * 25,
        "9" * 4300,
        "9" * 5000,
        "-" + "9" * 30,
        "%C2%B2",
        "%D9%A3",
        "[[[",
        "(",
        "(a%2B)%2B%24",
        "%25",
        "1,2",
        "_5B",
    ),
    *(f"{word}%27%20OR%201=1--" for word in ("", "1")),
    *(
        packed(value)
        for value in (
            *(
                [],
                [False],
                [False, 1],
                [False, "a"],
                [True, "a", 1],
                [False, "a", "b", "c"],
                [False, None],
                {"a": 1},
                5,
                "[" * 3000,
            ),
            *("[" * 3000 + "]" * 3000, [False, [["a"]]], [False, {"a": 1}], [False, 10**30], [False, 10**4000], [False, 2**63]),
            *([False, "a\0"], [False, "\ud800"], [False, 1.5], [False, True], [False, "2024-01-01"], [False, "2024-01-01", 1]),
            *([False, "0001-01-01T00:00:00+14:00", 1], [True, "9999-12-31T23:59:59-14:00", 1], [False, "2024-13-45T99:00", 1]),
            *("[false, NaN]", "[false, 1e999]", "[false, -Infinity, 1]", "[false, " + "9" * 5000 + "]", "\ud800"),
        )
    ),
]
NAMES = [
    "p",
    "q",
    "o",
    "e",
    "all",
    "ot",
    "_popup",
    "_to_field",
    "_facets",
    "_changelist_filters",
    "next",
    "id__exact",
    "pk",
    "key",
]
NAMES += ["bucket__id__exact", "is_latest__exact", "object__id__exact", "upload__id__exact", "user__id__exact", "is_staff__exact"]
NAMES += ["groups__id__exact", "key__regex", "name__iregex", "username__regex", "access_key__regex", "last_login__gte", "pk__in"]
NAMES += [
    "owner__password__startswith",
    "password__startswith",
    "date_joined__year",
    "id__isnull",
    "id__range",
    "user__password__regex",
]
NAMES += ["", "%00", "%E2%80%AE", "__", "id__", "a__b__c__d", "app_label", "model_name", "field_name", "term"]


@pytest.fixture
def pages(owner: Any) -> list[str]:  # noqa: F811
    """Return the URLs of all kinds of pages, with one object of each kind in the store."""
    bucket = Bucket.objects.create(name="bucket", owner=owner, region="us-east-1")
    blob = Blob.objects.create(storage_class="STANDARD", size=1, state=3, created_at="2024-01-01T00:00:00Z")
    obj = made_object(bucket, "key", blob=blob, parts_count=1)
    obj.save()
    ObjectPart.objects.create(object=obj, part_number=1, offset=0, size=1, blob=blob)
    upload = MultipartUpload.objects.create(
        upload_id="u", bucket=bucket, key="key", owner=owner, storage_class="STANDARD", initiated_at="2024-01-01T00:00:00Z"
    )
    key = ApiKey.objects.create(access_key="P3KEY", secret_encrypted=b"", user=owner)
    Group.objects.get_or_create(name="group")
    lists = [f"post3/{name}/" for name in ("bucket", "object", "objectpart", "multipartupload", "uploadpart", "blob", "apikey")]
    lists += ["auth/user/", "auth/group/", "", "post3/", "login/", "autocomplete/", "jsi18n/", "nothing/"]
    lists += [f"post3/object/?bucket__id__exact={bucket.pk}", f"post3/object/?bucket__id__exact={bucket.pk}&is_latest__exact=1"]
    lists += [f"post3/objectpart/?object__id__exact={obj.pk}", f"post3/uploadpart/?upload__id__exact={upload.pk}"]
    lists += [f"post3/multipartupload/?bucket__id__exact={bucket.pk}"]
    changes = [f"post3/object/{obj.pk}/change/", f"post3/bucket/{bucket.pk}/change/", f"post3/apikey/{key.pk}/change/"]
    changes += [f"post3/blob/{blob.pk}/change/", f"post3/multipartupload/{upload.pk}/change/", f"auth/user/{owner.pk}/change/"]
    changes += [f"post3/apikey/{key.pk}/history/", "post3/apikey/add/", "auth/user/add/", f"auth/user/{owner.pk}/delete/"]
    return [f"/_/admin/{page}" for page in lists + changes]


def failures(console: Client, urls: list[str]) -> list[str]:  # noqa: F811
    """Return the starts of those URLs with an unexpected status. An exception in a view is raised here."""
    return [url[:200] for url in urls if console.get(url).status_code not in (200, 302, 400, 403, 404)]


def with_query(page: str, query: str) -> str:
    return f"{page}{'&' if '?' in page else '?'}{query}"


def test_no_position_in_a_list_causes_an_error(console: Client, pages: list[str]) -> None:  # noqa: F811
    lists = [page for page in pages if "exact=" in page or page.endswith(("/bucket/", "/blob/", "/apikey/", "/user/"))]
    # Each page with a quarter of the values: a page takes tens of milliseconds.
    assert not failures(console, [with_query(page, f"p={value}") for n, page in enumerate(lists) for value in VALUES[n % 4 :: 4]])


def test_no_filter_or_search_causes_an_error(console: Client, pages: list[str]) -> None:  # noqa: F811
    names = ["q", "o", "is_latest__exact", "bucket__id__exact", "object__id__exact", "upload__id__exact"]
    lists = [page for page in pages if "/change/" not in page]
    pairs = [(page, name) for page in lists for name in names]
    # Each page with some of the values. With all of them there would be thousands of pages.
    urls = [with_query(page, f"{name}={value}") for n, (page, name) in enumerate(pairs) for value in VALUES[n % 14 : 28 : 14]]
    assert not failures(console, urls)


def test_no_parameter_name_causes_an_error(console: Client, pages: list[str]) -> None:  # noqa: F811
    values = ("x", "9" * 5000, "%00(", "1")
    # Each page with a fifth of the names, and each name on a fifth of the pages.
    pairs = [(page, name) for page in pages for name in NAMES][::5]
    assert len(NAMES) % 5
    assert not failures(console, [with_query(page, f"{name}={values[n % 4]}") for n, (page, name) in enumerate(pairs)])
    assert not failures(console, [with_query(page, f"{NAMES[n % 6]}=x&{NAMES[n % 6]}=1") for n, page in enumerate(pages)])


def test_no_number_in_a_path_causes_an_error(console: Client, pages: list[str]) -> None:  # noqa: F811
    wrong = []
    for model in (
        "post3/object",
        "post3/bucket",
        "post3/blob",
        "post3/apikey",
        "post3/multipartupload",
        "auth/user",
        "auth/group",
    ):
        for number in ("0", "9" * 19, "9" * 25, "9" * 5000, "x", "_5B", "%00", "%C2%B2", "-1", quote("\u202e"), "%FF"):
            for view in ("change/", "history/", "delete/", "", "revoke/", "password/"):
                url = f"/_/admin/{model}/{number}/{view}"
                wrong += [url[:100]] if console.get(url).status_code not in (200, 301, 302, 400, 403, 404) else []
    assert not wrong


@pytest.mark.parametrize("field", ["", "id", "username", "nothing", "pk"])
def test_no_field_named_by_a_form_causes_an_error(console: Client, pages: list[str], field: str) -> None:  # noqa: F811
    console.get("/_/admin/post3/apikey/add/")
    for page in pages:
        if page.endswith("/change/"):
            assert console.post(page, {"_to_field": field}).status_code in (200, 302, 400, 403, 404), page


#: Fields of forms and list actions that name rows by their primary keys.
KEYS = {
    "auth/group/add/": ["permissions"],
    "auth/user/USER/change/": ["groups", "user_permissions"],
    "post3/apikey/add/": ["user"],
    "post3/apikey/": ["_selected_action"],
    "auth/user/": ["_selected_action"],
    "auth/group/": ["_selected_action"],
}


@pytest.mark.parametrize("number", ["9" * 19, "9" * 25, "-" + "9" * 25, "9" * 4000, "9" * 5000, "1.5", "x", "\u0663"])
@pytest.mark.parametrize("page", KEYS)
def test_no_primary_key_in_a_form_causes_an_error(console: Client, page: str, number: str) -> None:  # noqa: F811
    user = User.objects.get(is_superuser=True)
    names = {"name": "n", "username": user.username, "action": "revoke_selected" if "apikey" in page else "delete_selected"}
    for field in KEYS[page]:
        url = f"/_/admin/{page.replace('USER', str(user.pk))}"
        for form in ({**names, field: number}, {**names, field: ["1", number]}, {**names, field: number, "post": "yes"}):
            assert console.post(url, form).status_code in (200, 302, 400), (url, field)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data; b", b"--b--\r\n"),
        ("multipart/form-data; boundary=\xff", b"--b--\r\n"),
        (
            "multipart/form-data; boundary=b",
            b'--b\r\nContent-Disposition: form-data; name="a"; filename="f"\r\n\r\nx\r\n' * 20 + b"--b--\r\n",
        ),
        ("application/x-www-form-urlencoded", b"a=1&" * 2000),
    ],
)
@pytest.mark.parametrize("path", ["/_/nothing", "/_%0Fadmin/", "/_/admin/nothing/", "/_/admin/post3/bucket/", "/_/static/x"])
def test_no_unreadable_form_turns_a_refusal_into_an_error(
    console: Client,  # noqa: F811
    path: str,
    content_type: str,
    body: bytes,
) -> None:
    # With a CSRF token beside the session, so that Django reads the form to compare them.
    client = ConsoleClient(enforce_csrf_checks=True)
    client.force_login(User.objects.get(is_superuser=True))
    assert 'name="csrfmiddlewaretoken"' in client.get("/_/admin/post3/apikey/add/").content.decode()
    assert client.generic("POST", path, body, content_type=content_type).status_code in (302, 400, 403, 404, 405)


def test_lists_of_users_accept_only_their_own_filters(console: Client, pages: list[str]) -> None:  # noqa: F811
    for query in ("is_staff__exact=1", "is_active__exact=0", "groups__id__exact=1", "groups__isnull=True", "q=root", "o=1"):
        assert console.get(f"/_/admin/auth/user/?{query}").status_code == 200, query
    for query in ("username__regex=(", "username__regex=(a%2B)%2B", "email__contains=x", "password__startswith=p"):
        assert console.get(f"/_/admin/auth/user/?{query}").status_code == 400, query


def test_deleting_a_user_does_not_load_their_objects(console: Client, owner: Any) -> None:  # noqa: F811
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    rich, poor = User.objects.create_user("rich"), User.objects.create_user("poor")
    bucket = Bucket.objects.create(name="of-rich", owner=rich, region="us-east-1")
    Object.objects.bulk_create(made_object(bucket, f"{number:06}") for number in range(2000))
    asks = [
        ("get", f"/_/admin/auth/user/{rich.pk}/delete/", {}),
        ("post", f"/_/admin/auth/user/{rich.pk}/delete/", {"post": "yes"}),
    ]
    action = {"action": "delete_selected", "_selected_action": [rich.pk, poor.pk]}
    asks += [("post", "/_/admin/auth/user/", action), ("post", "/_/admin/auth/user/", {**action, "post": "yes"})]
    for method, url, form in asks:
        with CaptureQueriesContext(
            connection,
        ) as queries:
            response = getattr(console, method)(url, form)
        page = response.content.decode()
        assert response.status_code == 200
        assert "API keys, buckets, uploads or objects of rich." in page and "Deactivate these users" in page
        assert "000001" not in page and len(page) < 50_000
        assert len([query for query in queries if "post3_object" in query["sql"]]) == 1
    assert User.objects.filter(pk__in=[rich.pk, poor.pk]).count() == 2
    console.post(f"/_/admin/auth/user/{poor.pk}/delete/", {"post": "yes"})
    assert not User.objects.filter(pk=poor.pk).exists()


def test_a_user_who_owns_objects_cannot_be_deleted_in_code_either(owner: Any) -> None:  # noqa: F811
    from django.db import connection
    from django.db.models import ProtectedError
    from django.test.utils import CaptureQueriesContext

    bucket = Bucket.objects.create(name="of-rich", owner=User.objects.create_user("other"), region="us-east-1")
    Object.objects.bulk_create(made_object(bucket, f"{number:06}", owner_id=owner.pk) for number in range(2000))
    with pytest.raises(ProtectedError) as refused, CaptureQueriesContext(connection) as queries:
        owner.delete()
    assert sorted(type(each).__name__ for each in refused.value.protected_objects) == ["Bucket", "Object"]
    assert all("LIMIT 1" in query["sql"] for query in queries if "post3_object" in query["sql"])
