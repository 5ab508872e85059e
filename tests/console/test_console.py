"""The console as used by a browser: log in, create a key, sign with it, browse objects, revoke the key."""

import http.cookiejar
import re
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from ..helpers import BLOB, query
from ..servers import Server

PASSWORD = "only for tests, and long"
MAKE_ADMIN = f"""
from django.contrib.auth import get_user_model
users = get_user_model().objects
users.filter(username="console").exists() or users.create_superuser("console", password={PASSWORD!r})
"""


class Browser:
    """Keeps cookies, follows redirects, and sends forms with their CSRF tokens."""

    def __init__(self, server: Server) -> None:
        self.url = server.console_url
        self.cookies = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))
        self.address = self.page = ""
        self.status = 0

    def get(self, path: str, form: dict[str, str] | None = None) -> str:
        data = urllib.parse.urlencode(form).encode() if form is not None else None
        try:
            answer = self._opener.open(urllib.parse.urljoin(self.url, path), data, timeout=20)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            self.status, self.address, self.page = answer.status, answer.url, answer.read().decode()
        return self.page

    def post(self, path: str, **form: str) -> str:
        """Send a form with the token of the current page."""
        token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', self.page)
        assert token, self.page
        return self.get(path, {"csrfmiddlewaretoken": token[1], **form})

    def follow(self, text: str, part: str = "") -> str:
        """Follow the first link with this text and with `part` in its URL."""
        pattern = rf'<a href="([^"]*{re.escape(part)}[^"]*)"[^>]*>(?:<span[^>]*>)?{re.escape(text)}<'
        link = re.search(pattern, self.page)
        assert link, f"no link {text!r} in {self.page}"
        return self.get(urllib.parse.urljoin(self.address, link[1].replace("&amp;", "&")))


@pytest.fixture(scope="session")
def logged_in(server: Server) -> list[http.cookiejar.Cookie]:
    """Return an administrator's cookies. Log in only once, because checking a password takes a second of CPU."""
    server.manage("shell", "-v", "0", "-c", MAKE_ADMIN)
    browser = Browser(server)
    browser.get("/_/admin/login/")
    browser.post("/_/admin/login/", username="console", password=PASSWORD, next="/_/admin/")
    return list(browser.cookies)


@pytest.fixture
def browser(server: Server, logged_in: list[http.cookiejar.Cookie]) -> Browser:
    browser = Browser(server)
    for cookie in logged_in:
        browser.cookies.set_cookie(cookie)
    browser.get("/_/admin/")
    assert "Object storage" in browser.page
    return browser


def client(server: Server, access_key: str, secret: str) -> object:
    return boto3.client(
        "s3",
        endpoint_url=server.url,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 1}),
    )


def make_key(browser: Browser, name: str) -> tuple[str, str]:
    page = browser.get("/_/admin/post3/apikey/add/")
    user = re.search(r'<option value="(\d+)"[^>]*>console</option>', page)
    assert user, page
    page = browser.post("/_/admin/post3/apikey/add/", user=user[1], name=name)
    shown = re.search(r"export AWS_ACCESS_KEY_ID=(\w+)\nexport AWS_SECRET_ACCESS_KEY=(\w+)<", page)
    assert shown, page
    return shown[1], shown[2]


def test_console_asks_an_anonymous_user_to_log_in(server: Server) -> None:
    browser = Browser(server)
    for page in ("", "post3/object/", "post3/apikey/add/"):
        browser.get(f"/_/admin/{page}")
        assert "/_/admin/login/" in browser.address


def test_key_created_in_the_console_signs_until_it_is_revoked(browser: Browser, server: Server) -> None:
    access_key, secret = make_key(browser, "created in the console")
    assert "Belongs to user console; created in the console" in browser.page
    s3 = client(server, access_key, secret)
    s3.list_buckets()
    # The secret is shown only once: it is on no later page and in no cookie.
    browser.get("/_/admin/post3/apikey/")
    assert access_key in browser.page and "created in the console" in browser.page and secret not in browser.page
    assert not [cookie for cookie in browser.cookies if secret in (cookie.value or "")]
    pk = re.search(rf"/_/admin/post3/apikey/(\d+)/change/[^>]*>(?:<code[^>]*>)?{access_key}", browser.page)
    assert pk, browser.page
    browser.get(f"/_/admin/post3/apikey/{pk[1]}/change/")
    assert secret not in browser.page
    page = browser.post(f"/_/admin/post3/apikey/{pk[1]}/revoke/")
    assert f"{access_key} (created in the console) has been revoked" in page
    server.manage("revoke_api_key", access_key)  # a second revocation changes nothing
    with pytest.raises(ClientError) as refused:
        s3.list_buckets()
    assert refused.value.response["Error"]["Code"] == "InvalidAccessKeyId"


def test_keys_are_revoked_by_the_action_on_the_list(browser: Browser) -> None:
    access_key, _ = make_key(browser, "by action")
    browser.get("/_/admin/post3/apikey/")
    pk = re.search(rf"/_/admin/post3/apikey/(\d+)/change/[^>]*>(?:<code[^>]*>)?{access_key}", browser.page)
    assert pk, browser.page
    page = browser.post("/_/admin/post3/apikey/", action="revoke_selected", _selected_action=pk[1])
    assert f"{access_key} (by action) has been revoked" in page


def test_revoking_requires_a_form(browser: Browser) -> None:
    browser.get("/_/admin/post3/apikey/1/revoke/")
    assert browser.status == 403


def test_objects_are_found_by_bucket_and_prefix_and_shown_with_all_fields(browser: Browser, s3: object, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="a/1.txt", Body=b"one", ContentType="text/plain", Metadata={"camera": "a <b>"})
    s3.put_object(Bucket=bucket, Key="b/2.txt", Body=b"two")
    browser.get(f"/_/admin/post3/bucket/?q={bucket}")
    browser.follow("Objects", "bucket__id__exact")
    assert f"Objects in {bucket}" in browser.page
    assert "a/1.txt" in browser.page and "b/2.txt" in browser.page
    browser.get(f"{browser.address}&q=a/")
    assert "a/1.txt" in browser.page and "b/2.txt" not in browser.page
    page = browser.follow("a/1.txt")
    for text in ("a/1.txt", "text/plain", "f97c5d29941bfb1b2fdab0874906ab82", "camera", "a &lt;b&gt;", bucket, "tester"):
        assert text in page, text


def test_uploads_in_progress_are_shown_with_their_parts(browser: Browser, s3: object, bucket: str) -> None:
    upload = s3.create_multipart_upload(Bucket=bucket, Key="big.bin")["UploadId"]
    s3.upload_part(Bucket=bucket, Key="big.bin", UploadId=upload, PartNumber=7, Body=b"part")
    browser.get(f"/_/admin/post3/bucket/?q={bucket}")
    browser.follow("Uploads")
    page = browser.follow("big.bin")
    assert upload in page and "<td>7</td>" in page


def test_console_lists_damaged_blobs_with_their_keys(browser: Browser, server: Server, s3: Any, bucket: str) -> None:
    for key in ("whole", "hurt"):
        s3.put_object(Bucket=bucket, Key=key, Body=key.encode() * BLOB)
    statement = "UPDATE post3_blob SET state = 3 WHERE id = (SELECT max(blob_id) FROM post3_object WHERE key = ?) RETURNING id"
    blob_id = query(server, statement, ["hurt"])[0][0]
    page = browser.get("/_/admin/post3/blob/")
    assert "Damaged blobs" in page and f"{bucket}/hurt" in page and f"{bucket}/whole" not in page
    assert f"{bucket}/hurt" in browser.follow(str(blob_id))
