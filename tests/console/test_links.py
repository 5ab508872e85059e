"""Every link on every page of the console leads to a page, whatever the store contains."""

import re
from html import unescape
from typing import Any
from urllib.parse import urldefrag, urljoin, urlsplit

import pytest

from ..helpers import BLOB, query
from ..servers import Server
from .test_console import Browser, browser, logged_in, make_key  # noqa: F401  (fixtures)

#: The number of links followed among those whose URLs differ only in numbers and values.
ALIKE = 2
VIEWER = """
from django.contrib.auth.models import Permission, User
viewer, _ = User.objects.get_or_create(username="viewer", defaults={"is_staff": True})
viewer.set_password("only for tests, and long")
viewer.save()
viewer.user_permissions.set(Permission.objects.filter(content_type__app_label="post3", codename__startswith="view_"))
"""


@pytest.fixture
def filled(server: Server, s3: Any, bucket: str) -> str:
    """Fill a bucket with one object of each kind (with metadata, parts, damage, empty) and an upload.

    Return its name.
    """
    s3.put_object(Bucket=bucket, Key="whole", Body=b"whole" * BLOB, Metadata={"a": "b"})
    s3.put_object(Bucket=bucket, Key="folder/a b%2F+?&#<>", Body=b"x")
    s3.put_object(Bucket=bucket, Key="empty", Body=b"")
    s3.put_object(Bucket=bucket, Key="hurt", Body=b"hurt" * BLOB)
    for key in ("parts", "under way"):
        upload = s3.create_multipart_upload(Bucket=bucket, Key=key, Metadata={"a": "b"})["UploadId"]
        parts = [
            {
                "PartNumber": number,
                "ETag": s3.upload_part(Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=body)["ETag"],
            }
            for number, body in ((1, b"1" * (5 << 20)), (2, b"2"))
        ]
        if key == "parts":
            s3.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts})
    query(
        server,
        "UPDATE post3_blob SET state = 3 WHERE id = (SELECT max(blob_id) FROM post3_object WHERE key = ?) RETURNING id",
        ["hurt"],
    )
    return bucket


def links_of(browser: Browser) -> set[str]:  # noqa: F811
    """Return the URLs within the console that the current page links to or loads."""
    found = re.findall(r'<(?:a|link|script|img)\b[^>]*?\b(?:href|src)="([^"]*)"', browser.page)
    urls = {urldefrag(urljoin(browser.address, unescape(url)))[0] for url in found}
    return {url for url in urls if urlsplit(url).netloc == urlsplit(browser.url).netloc}


def crawl(browser: Browser) -> dict[str, str]:  # noqa: F811
    """Follow all links from the index. Return the failures by URL."""
    todo, seen, shapes, wrong = [browser.url + "/_/admin/"], set[str](), dict[str, int](), dict[str, str]()
    while todo:
        url = todo.pop()
        path, _, parameters = url.partition("?")
        names = sorted(set(re.findall(r"(?:^|&)([^=&]*)", parameters)))
        shape = re.sub(r"\d+", "0", path) + "?" + "&".join(names)
        shapes[shape] = shapes.get(shape, 0) + 1
        if url in seen or shapes[shape] > ALIKE:
            continue
        seen.add(url)
        browser.get(url)
        if browser.status != 200 or "Perhaps it was deleted" in browser.page or "doesn’t exist" in browser.page:
            wrong[url] = f"{browser.status}: {browser.address}"
        if url.endswith((".css", ".js", ".svg")):
            continue
        todo.extend(sorted(links_of(browser) - seen))
    assert len(seen) > 25, seen
    return wrong


def test_every_link_of_the_console_leads_to_a_page(browser: Browser, filled: str) -> None:  # noqa: F811
    make_key(browser, "for the crawler")
    assert crawl(browser) == {}


def test_every_link_leads_to_a_page_for_a_user_with_view_permission_only(server: Server, filled: str) -> None:
    server.manage("shell", "-v", "0", "-c", VIEWER)
    visitor = Browser(server)
    visitor.get("/_/admin/login/")
    visitor.post("/_/admin/login/", username="viewer", password="only for tests, and long", next="/_/admin/")
    assert crawl(visitor) == {}


def test_blob_of_a_healthy_object_has_a_page(browser: Browser, server: Server, filled: str) -> None:  # noqa: F811
    for key in ("whole", "hurt"):
        blob = query(server, "SELECT max(blob_id) FROM post3_object WHERE key = ?", [key])[0][0]
        page = browser.get(f"/_/admin/post3/blob/{blob}/change/")
        assert f"{filled}/{key}" in page and ("damaged" if key == "hurt" else "stored") in page
        assert browser.address.endswith("/change/")
