"""The interface of Post3Storage, as Django documents it."""

import gc
import io
import pickle
import warnings
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from django.core.exceptions import ImproperlyConfigured, SuspiciousFileOperation
from django.core.files.base import ContentFile, File
from django.core.files.uploadedfile import SimpleUploadedFile, TemporaryUploadedFile
from django.db.migrations.writer import MigrationWriter
from django.test import override_settings

from post3.access import keys
from post3.contrib.storage import Post3Storage
from post3.errors import KeyTooLongError
from post3.models import ApiKey, Bucket, Object
from post3.s3.presigning import presign_get

from ..helpers import random_bytes

BIG = random_bytes(5_120_000)


def test_save_open_size_exists_delete(storage: Post3Storage) -> None:
    name = storage.save("reports/Jahr 2026 ü.txt", ContentFile(b"abc"))
    assert name == "reports/Jahr 2026 ü.txt"
    assert storage.exists(name) and storage.size(name) == 3
    with storage.open(name) as file:
        assert (file.name, file.size, file.read(), file.read()) == (name, 3, b"abc", b"")
    storage.delete(name)
    storage.delete(name)
    assert not storage.exists(name)
    with pytest.raises(FileNotFoundError, match="reports"):
        storage.size(name)
    with pytest.raises(FileNotFoundError):
        storage.open(name)
    with pytest.raises(ValueError, match="name must be given"):
        storage.delete("")


def test_a_large_file_is_read_in_pieces_from_anywhere(storage: Post3Storage) -> None:
    storage.save("big", ContentFile(BIG))
    with storage.open("big") as file:
        assert b"".join(file.chunks()) == BIG
        for position, count in ((4_000_000, 100), (10, 5), (1_048_570, 20), (len(BIG) - 3, 10), (10, 5)):
            file.seek(position)
            assert file.read(count) == BIG[position : position + count]
            assert file.tell() == min(position + count, len(BIG))
        file.seek(-5, io.SEEK_END)
        assert file.read() == BIG[-5:]


def test_a_file_can_be_opened_again_and_read_as_text(storage: Post3Storage) -> None:
    storage.save("a.txt", ContentFile("eins\nzwei ü\n"))
    file = storage.open("a.txt", "r")
    assert list(file) == ["eins\n", "zwei ü\n"]
    file.close()
    file.open("rb")
    assert file.read() == "eins\nzwei ü\n".encode()
    file.close()
    with pytest.raises(ValueError, match="save"):
        storage.open("a.txt", "wb")


def test_an_overwritten_file_is_never_read_half_old_half_new(storage: Post3Storage) -> None:
    storage.allow_overwrite = True
    storage.save("a", ContentFile(BIG))
    with storage.open("a") as file:
        assert file.read(10) == BIG[:10]
        storage.save("a", ContentFile(b"n" * len(BIG)))
        file.seek(4_000_000)
        with pytest.raises(OSError, match="overwritten"):
            file.read(10)


class Socket(io.RawIOBase):
    """A stream that can be read only once."""

    def __init__(self, data: bytes) -> None:
        self._inner = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self._inner.readinto(buffer)


class Broken(Socket):
    """A stream that breaks off at its end."""

    def readinto(self, buffer: Any) -> int:
        count = super().readinto(buffer)
        if not count:
            raise ConnectionResetError
        return count


def test_content_of_any_kind_is_stored_completely(storage: Post3Storage) -> None:
    read = ContentFile(b"read before")
    read.read()
    with TemporaryUploadedFile("t.bin", "application/x-own", len(BIG), None) as temporary:
        temporary.write(BIG)  # left positioned at its end, as after an upload
        for name, content, expected in (
            ("temporary", temporary, BIG),
            ("read", read, b"read before"),
            ("text", ContentFile("ü"), "ü".encode()),
            ("socket", File(io.BufferedReader(Socket(BIG))), BIG),
            ("plain", io.BytesIO(b"no File"), b"no File"),
        ):
            with storage.open(storage.save(name, content)) as file:
                assert file.read() == expected, name


def test_save_of_a_stream_closes_its_temporary_file(storage: Post3Storage) -> None:
    gc.collect()  # what other tests left
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ResourceWarning)
        storage.save("saved", File(io.BufferedReader(Socket(BIG))))
        storage.allow_overwrite = True
        with pytest.raises(KeyTooLongError):
            storage.save("ü" * 600, File(io.BufferedReader(Socket(BIG))))
        with pytest.raises(ConnectionResetError):
            storage.save("broken", File(io.BufferedReader(Broken(BIG))))
        gc.collect()
    assert [str(warning.message) for warning in caught] == []


def test_save_of_a_stream_whose_name_is_taken_meanwhile_stores_all_bytes(
    storage: Post3Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.save("a", ContentFile(b"of another process"))
    answers = iter([True])
    is_available = storage.is_name_available
    monkeypatch.setattr(storage, "is_name_available", lambda name, **given: next(answers, None) or is_available(name, **given))
    for content in (File(io.BufferedReader(Socket(BIG))), ContentFile(BIG), ContentFile("ü" * 1000)):
        answers = iter([True])
        name = storage.save("a", content)
        assert name.startswith("a_")
        assert storage.open(name).read() in (BIG, "ü".encode() * 1000)
    assert storage.open("a").read() == b"of another process"


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.pdf", ContentFile(b"a"), "application/pdf"),
        ("a", ContentFile(b"a"), "application/octet-stream"),
        ("a.tar.gz", ContentFile(b"a"), "application/gzip"),
        ("a.txt", SimpleUploadedFile("a.txt", b"a", "text/plain; charset=utf-8"), "text/plain; charset=utf-8"),
        ("b.txt", SimpleUploadedFile("b.txt", b"a", "text/html\r\nx: y"), "text/plain"),
    ],
)
def test_content_type(storage: Post3Storage, name: str, content: File, expected: str) -> None:
    storage.save(name, content)
    assert Object.objects.get().content_type == expected


def test_a_name_in_use_gets_a_free_one_unless_overwriting_is_allowed(storage: Post3Storage) -> None:
    first, second = storage.save("a.txt", ContentFile(b"1")), storage.save("a.txt", ContentFile(b"2"))
    assert first == "a.txt" and second.startswith("a_") and second.endswith(".txt")
    storage.allow_overwrite = True
    assert storage.save("a.txt", ContentFile(b"3")) == "a.txt"
    assert storage.open("a.txt").read() == b"3"
    assert len(storage.save("b" * 50 + ".txt", ContentFile(b"4"), max_length=20)) <= 20


@pytest.mark.parametrize("name", ["../a", "a/../b", "/a", "a//b", "a/./b", "a\x00b", "a\\..\\b"])
def test_invalid_file_names_are_refused(storage: Post3Storage, name: str) -> None:
    with pytest.raises(SuspiciousFileOperation):
        storage.exists(name)


def test_a_key_that_is_too_long_is_refused(storage: Post3Storage) -> None:
    with pytest.raises(KeyTooLongError):
        storage.save("ü" * 600, ContentFile(b"a"))


def test_listdir_and_location(storage: Post3Storage) -> None:
    inner = Post3Storage(bucket="media", create_bucket=True, owner="owner", location="/deep/er/")
    assert storage.listdir("") == ([], [])
    for name in ("a", "d/b", "d/c", "d/e/f"):
        inner.save(name, ContentFile(b"x"))
    assert storage.listdir("") == (["deep"], [])
    assert inner.listdir("") == (["d"], ["a"])
    assert inner.listdir("d/") == (["e"], ["b", "c"])
    assert inner.listdir("nothing") == ([], [])
    assert storage.exists("deep/er/d/e/f") and not inner.exists("d")


def test_listdir_reads_all_pages(storage: Post3Storage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("post3.contrib.storage.PAGE", 2)
    for number in range(7):
        storage.save(f"{number}" if number % 2 else f"{number}/x", ContentFile(b"x"))
    assert storage.listdir("") == (["0", "2", "4", "6"], ["1", "3", "5"])


def test_times(storage: Post3Storage) -> None:
    storage.save("a", ContentFile(b"x"))
    moment = storage.get_modified_time("a")
    assert moment.tzinfo is not None and abs(datetime.now(UTC) - moment) < timedelta(minutes=5)
    assert storage.get_created_time("a") == moment
    with override_settings(USE_TZ=False):
        assert storage.get_modified_time("a").tzinfo is None


def test_the_bucket_is_created_with_its_owner_and_a_key(storage: Post3Storage) -> None:
    made = Post3Storage(bucket="made", create_bucket=True, owner="new-owner", public_origin="http://x.example")
    made.save("a", ContentFile(b"x"))
    bucket = Bucket.objects.select_related("owner").get(name="made")
    assert bucket.owner.username == "new-owner" and not bucket.owner.has_usable_password()
    assert keys.find_signer("made")[1].access_key in made.url("a")
    assert ApiKey.objects.filter(user=bucket.owner).count() == 1


def test_a_missing_bucket_is_reported(storage: Post3Storage) -> None:
    missing = Post3Storage(bucket="missing")
    with pytest.raises(ImproperlyConfigured, match="no bucket 'missing'"):
        missing.save("a", ContentFile(b"x"))
    assert not missing.exists("a") and missing.listdir("") == ([], [])
    missing.delete("a")
    with pytest.raises(ImproperlyConfigured, match="no superuser"):
        Post3Storage(bucket="missing", create_bucket=True).save("a", ContentFile(b"x"))


def test_url_equals_the_one_that_botocore_signs(storage: Post3Storage) -> None:
    key, now = "a b/ü+~'(1).txt", datetime.now(UTC)
    ours = presign_get("https://Example.com:443/s3/", "media", key, ("P3KEY", "secret"), "eu-x-1", 60, now, {"versionId": "a b"})
    credentials = boto3.Session("P3KEY", "secret").get_credentials()
    request = AWSRequest("GET", ours.split("?")[0], params={"versionId": "a b"})
    auth = S3SigV4QueryAuth(credentials, "s3", "eu-x-1", expires=60)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.auth.get_current_datetime", lambda: now.replace(tzinfo=None), raising=True)
        auth.add_auth(request)
    theirs = request.prepare().url
    assert urlsplit(ours)[:3] == urlsplit(theirs)[:3] == ("https", "example.com", "/s3/media/a%20b/%C3%BC%2B~%27%281%29.txt")
    assert parse_qs(urlsplit(ours).query) == parse_qs(urlsplit(theirs).query)


def test_url_without_origin_or_key_is_an_error(storage: Post3Storage) -> None:
    storage.save("a", ContentFile(b"x"))
    assert "X-Amz-Expires=3600" in storage.url("a") and "X-Amz-Expires=7&" in storage.url("a", expire=7)
    storage.access_key = "P3NOBODY"
    with pytest.raises(ImproperlyConfigured, match="P3NOBODY"):
        storage.url("a")
    with pytest.raises(ImproperlyConfigured, match="public_origin"):
        Post3Storage(bucket="media").url("a")
    with override_settings(POST3_PUBLIC_ORIGIN="http://z.example/p", POST3_API_KEY_CACHE_SECONDS=0):
        assert Post3Storage(bucket="media").url("a").startswith("http://z.example/p/media/a?")
        for key in keys.find_api_keys():
            keys.revoke_api_key(key.access_key)
        keys._signers.forget("media")
        with pytest.raises(ImproperlyConfigured, match="create_api_key"):
            Post3Storage(bucket="media").url("a")


def test_it_is_deconstructed_for_migrations_and_pickled() -> None:
    storage = Post3Storage(bucket="media", expires=5)
    text, imports = MigrationWriter.serialize(storage)
    assert text == "post3.contrib.storage.Post3Storage(bucket='media', expires=5)"
    assert imports == {"import post3.contrib.storage"}
    assert vars(pickle.loads(pickle.dumps(storage))) == vars(storage)
