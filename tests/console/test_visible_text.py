"""Characters that control terminals, reverse text or are invisible are escaped on pages and in terminals."""

import io
import logging
import re
from typing import Any

import pytest

from post3.visible import VisibleFormatter, visible, visible_page

from .. import starting
from ..helpers import BLOB, query
from ..servers import Server
from .test_console import Browser, browser, logged_in  # noqa: F401  (fixtures)

#: Characters that a key may contain, and how they are shown.
HOSTILE = {
    "\u202e": r"\u202e",  # right-to-left override
    "\u2066": r"\u2066",  # left-to-right isolate
    "\u200b": r"\u200b",  # zero-width space
    "\ufeff": r"\ufeff",
    "\u2028": r"\u2028",
    "\u00ad": r"\xad",  # soft hyphen
    "\x1b": r"\x1b",
    "\x07": r"\x07",
    "\x7f": r"\x7f",
    "\x85": r"\x85",
    "\n": r"\n",
    "\r": r"\r",
    "\U000e0041": r"\U000e0041",  # a tag character
}
UNSEEN = re.compile("[^\n\t -~\u00a1-\u00ac\u00ae-\u04ff\u2010-\u2027\u2030-\u205e\u2190-\u2bff]")


@pytest.mark.parametrize("char", HOSTILE, ids=HOSTILE.values())
def test_console_shows_characters_of_keys_and_metadata(
    browser: Browser,  # noqa: F811
    server: Server,
    s3: Any,
    bucket: str,
    char: str,
) -> None:
    key, shown = f"before{char}after", f"before{HOSTILE[char]}after"
    s3.put_object(Bucket=bucket, Key=key, Body=b"x" * BLOB, Metadata={"a": "b"})
    upload = s3.create_multipart_upload(Bucket=bucket, Key="upload")["UploadId"]
    pk, bucket_pk = query(server, "SELECT id, bucket_id FROM post3_object WHERE key = ?", [key])[0]
    query(server, "UPDATE post3_multipartupload SET key = ? WHERE upload_id = ? RETURNING id", [key, upload])
    # Values that direct SQL or an older release may have left.
    query(server, "UPDATE post3_objectmetadata SET value = ? WHERE object_id = ? RETURNING id", [key, pk])
    query(server, "UPDATE post3_object SET content_type = ?, content_language = ? WHERE id = ? RETURNING id", [key, key, pk])
    query(server, "UPDATE post3_blob SET state = 3 WHERE id = (SELECT blob_id FROM post3_object WHERE id = ?) RETURNING id", [pk])
    upload_pk = query(server, "SELECT id FROM post3_multipartupload WHERE upload_id = ?", [upload])[0][0]
    for page in (
        f"object/?bucket__id__exact={bucket_pk}&is_latest__exact=1",
        f"object/{pk}/change/",
        f"object/{pk}/history/",
        f"objectpart/?object__id__exact={pk}",
        f"multipartupload/?bucket__id__exact={bucket_pk}",
        f"multipartupload/{upload_pk}/change/",
        f"uploadpart/?upload__id__exact={upload_pk}",
        "blob/",
    ):
        source = browser.get(f"/_/admin/post3/{page}")
        assert browser.status == 200
        assert shown in source, page
        assert not UNSEEN.findall(source), page
    query(server, "DELETE FROM post3_multipartupload WHERE upload_id = ? RETURNING id", [upload])
    title = re.search(r"<title>(.*?)</title>", browser.get(f"/_/admin/post3/object/{pk}/change/"), re.DOTALL)
    assert title and shown in title[1]
    s3.delete_object(Bucket=bucket, Key=key)  # DeleteObjects cannot name the key: XML does not allow such characters


@pytest.mark.parametrize("char", ["%E2%80%AE", "%1B", "%C2%85", "%EF%BB%BF"])
def test_console_shows_characters_of_addresses(browser: Browser, char: str) -> None:  # noqa: F811
    for page in ("post3/bucket/?q=", "auth/user/?q=", "post3/apikey/?q=", "nothing/", "post3/object/", "post3/blob/1"):
        assert not UNSEEN.findall(browser.get(f"/_/admin/{page}{char}")), page


def test_console_form_keeps_its_values(browser: Browser, server: Server) -> None:  # noqa: F811
    """Persian names contain zero-width non-joiners. Showing a name in a form must not change it."""
    name = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"
    pk = query(server, "UPDATE auth_user SET first_name = ? WHERE username = 'console' RETURNING id", [name])[0][0]
    page = browser.get(f"/_/admin/auth/user/{pk}/change/")
    assert 'value="\u0645\u06cc&#x200c;\u062e\u0648\u0627\u0647\u0645"' in page


def test_commands_show_characters_of_names(server: Server, s3: Any, bucket: str) -> None:
    chars = "\x1b\u202e\u200b\x9b"
    key = f"key{chars}[31m"
    s3.put_object(Bucket=bucket, Key=key, Body=b"x" * BLOB)
    query(server, "UPDATE post3_apikey SET name = ? WHERE access_key = ? RETURNING id", [key, server.access_key])
    query(
        server,
        "UPDATE post3_blob SET state = 3 WHERE id = (SELECT max(blob_id) FROM post3_object WHERE key = ?) RETURNING id",
        [key],
    )
    for arguments in (["list_api_keys"], ["check_storage"], ["check_storage", "--json"], ["list_api_keys", "--json"]):
        printed = run(server, *arguments)
        assert not set(chars) & set(printed), arguments
        for char in chars:
            assert ascii(char)[1:-1] in printed or f"\\u{ord(char):04x}" in printed, (char, printed[-500:])
    for arguments in (["create_api_key", "--user", key], ["revoke_api_key", key], ["create_console_user", key]):
        assert not set(chars) & set(run(server, *arguments)), arguments
    s3.delete_object(Bucket=bucket, Key=key)


def run(server: Server, *arguments: str) -> str:
    """Return what a command prints, whatever its status."""
    done = starting.run("manage.py", *arguments, environment=server.environment)
    assert "Traceback" not in done.stderr, done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("char", [*HOSTILE, "\x00", "\t"])
def test_log_lines_show_characters_of_their_messages(char: str) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(VisibleFormatter("{levelname} {message}", style="{"))
    logger = logging.Logger("test")
    logger.addHandler(handler)
    logger.error("The key %s is damaged", f"a{char}b")
    assert stream.getvalue() == f"ERROR The key a{visible(char)}b is damaged\n"
    try:
        raise ValueError(f"a{char}b")
    except ValueError:
        logger.exception("It failed")
    written = stream.getvalue()
    assert char == "\n" or char not in written
    assert "Traceback (most recent call last):\n" in written


def test_visible_leaves_printable_characters_unchanged() -> None:
    for text in ("", "a b", "Ünïcödé", "日本語", "عربي", "🙂", "a\\b", "<&>"):
        assert visible(text) == text
    assert visible("\ud800") == r"\ud800"
    page = '<p title="\u202e">\u202e\n<b>é</b></p>'
    assert visible_page(page) == '<p title="&#x202e;">\\u202e\n<b>é</b></p>'
