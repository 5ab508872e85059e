"""ListObjectsV2."""

import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.raw import RawClient

from .listed import ODD_KEYS, entries_of, expected, filled_bucket, random_keys, refused

KEYS = random_keys(300, seed=3)
DELIMITERS = ("", "/", "::", "//", "a", "😀", "\U0010ffff", "/\U0010ffff", "nowhere")


@pytest.fixture(scope="module")
def many(s3: Any) -> Iterator[str]:
    with filled_bucket(s3, KEYS) as name:
        yield name


@pytest.fixture(scope="module")
def few(s3: Any) -> Iterator[str]:
    with filled_bucket(s3, ODD_KEYS) as name:
        yield name


def through(s3: Any, bucket: str, size: int, **query: Any) -> list[tuple[str, bool]]:
    """Return all entries, page by page. Every page except the last must be full."""
    found, token = [], {}
    for _ in range(1000):
        page = s3.list_objects_v2(Bucket=bucket, MaxKeys=size, **query, **token)
        entries = entries_of(page)
        assert page["KeyCount"] == len(entries)  # B040, B042
        assert page.get("ContinuationToken") == token.get("ContinuationToken")
        found += entries
        if not page["IsTruncated"]:
            assert "NextContinuationToken" not in page
            return found
        assert len(entries) == size
        token = {"ContinuationToken": page["NextContinuationToken"]}
    raise AssertionError("the listing does not end")


@pytest.mark.parametrize("delimiter", DELIMITERS)
@pytest.mark.parametrize("prefix", ["", "a", "a/", "/", "::", "\uff5e", "😀", "\U0010ffff", "nothing"])
def test_list_objects_v2_with_prefix_and_delimiter(s3: Any, many: str, prefix: str, delimiter: str) -> None:
    page = s3.list_objects_v2(Bucket=many, Prefix=prefix, Delimiter=delimiter)
    whole = expected(KEYS, prefix, delimiter)
    assert entries_of(page) == whole
    assert (page["Name"], page["Prefix"], page["IsTruncated"], page["MaxKeys"]) == (many, prefix, False, 1000)
    assert (page["KeyCount"], page.get("Delimiter", "")) == (len(whole), delimiter)


@pytest.mark.parametrize("delimiter", ["", "/", "::", "\U0010ffff"])
def test_list_objects_v2_in_pages_of_every_size(s3: Any, few: str, delimiter: str) -> None:
    whole = expected(ODD_KEYS, "", delimiter)
    for size in range(1, len(whole) + 2):
        assert through(s3, few, size, Delimiter=delimiter) == whole, f"pages of {size}"


@pytest.mark.parametrize("size", [7, 100, 149, 150, 299, 300, 301])
def test_list_objects_v2_of_many_keys_in_pages(s3: Any, many: str, size: int) -> None:
    assert through(s3, many, size) == expected(KEYS)


@pytest.mark.parametrize("delimiter", ["", "/", "::"])
@pytest.mark.parametrize(
    "start", ["a", "a/", "a/b", "a/b/zzz", "a::b", "::", "B", "é", "\uff5e", "😀/", "\U0010ffffz", "none/x", "\x01"]
)
def test_list_objects_v2_with_start_after(s3: Any, many: str, start: str, delimiter: str) -> None:
    page = s3.list_objects_v2(Bucket=many, StartAfter=start, Delimiter=delimiter)
    assert entries_of(page) == expected(KEYS, "", delimiter, start, inside=True)
    assert page["StartAfter"] == start


@pytest.mark.parametrize("delimiter", ["", "/"])
def test_list_objects_v2_with_start_after_in_pages(s3: Any, few: str, delimiter: str) -> None:
    whole = expected(ODD_KEYS, "", delimiter, "a/b", inside=True)
    for size in (1, 2, 3, len(whole)):
        assert through(s3, few, size, StartAfter="a/b", Delimiter=delimiter) == whole


def test_list_objects_v2_at_random(s3: Any, many: str) -> None:
    chance = random.Random(4)
    for number in range(150):
        key, other = chance.choice(KEYS), chance.choice(KEYS)
        query = {"Prefix": key[: chance.choice([0, 0, 1, 2, 9])], "Delimiter": chance.choice(["", *DELIMITERS, key[1:3]])}
        start = chance.choice(["", other, other[:1], other + "!", key])
        size = chance.choice([1, 2, 3, 10, 1000])
        page = s3.list_objects_v2(Bucket=many, MaxKeys=size, StartAfter=start, **query)
        whole = expected(KEYS, query["Prefix"], query["Delimiter"], start, inside=True)
        assert (entries_of(page), page["IsTruncated"]) == (whole[:size], len(whole) > size), f"{number}: {query} {start!r} {size}"
        if page["IsTruncated"]:
            following = s3.list_objects_v2(Bucket=many, ContinuationToken=page["NextContinuationToken"], **query)
            assert entries_of(following) == whole[size:], f"{number}: {query} {start!r} {size}"


def test_list_objects_v2_start_after_is_not_echoed_with_a_token(s3: Any, few: str) -> None:
    first = s3.list_objects_v2(Bucket=few, MaxKeys=2, StartAfter="a/b")
    page = s3.list_objects_v2(Bucket=few, StartAfter="z", ContinuationToken=first["NextContinuationToken"])
    assert entries_of(first) + entries_of(page) == expected(ODD_KEYS, "", "", "a/b", inside=True)
    assert "StartAfter" not in page and page["ContinuationToken"] == first["NextContinuationToken"]  # B040


def test_list_objects_v2_token_of_a_deleted_key_continues_after_it(s3: Any, bucket: str) -> None:
    for key in ("a", "b", "c"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    token = s3.list_objects_v2(Bucket=bucket, MaxKeys=2)["NextContinuationToken"]
    s3.delete_object(Bucket=bucket, Key="b")
    s3.put_object(Bucket=bucket, Key="bb", Body=b"")
    assert [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket, ContinuationToken=token)["Contents"]] == ["bb", "c"]


@pytest.mark.parametrize("token", ["", "x", "not a token", "MA==", "====", "é", "MQD//w=="])
def test_list_objects_v2_with_bad_token_is_refused(s3: Any, few: str, token: str) -> None:
    error = refused(400, "InvalidArgument", s3.list_objects_v2, Bucket=few, ContinuationToken=token)
    assert error["Message"] == "The continuation token provided is incorrect"  # B041
    assert error["ArgumentName"] == "continuation-token" and "ArgumentValue" not in error


def test_list_objects_v2_with_fetch_owner(s3: Any, few: str) -> None:
    without = s3.list_objects_v2(Bucket=few)["Contents"]
    assert not [entry for entry in without if "Owner" in entry]  # B038
    owned = s3.list_objects_v2(Bucket=few, FetchOwner=True)["Contents"]
    owner = s3.list_objects(Bucket=few)["Contents"][0]["Owner"]
    assert [entry["Owner"] for entry in owned] == [owner] * len(ODD_KEYS)
    assert not [entry for entry in s3.list_objects_v2(Bucket=few, FetchOwner=False)["Contents"] if "Owner" in entry]


def test_list_objects_v2_has_no_marker(few: str, raw: RawClient) -> None:
    answer = raw.send("GET", f"/{few}", "delimiter=%2F&list-type=2&max-keys=1")
    assert answer.status == 200 and b"Marker>" not in answer.body  # B038
    assert b"<KeyCount>1</KeyCount><MaxKeys>1</MaxKeys>" in answer.body and b"<IsTruncated>true</IsTruncated>" in answer.body


def test_list_objects_v2_with_trailing_slash_in_the_path(few: str, raw: RawClient) -> None:
    assert raw.send("GET", f"/{few}/", "list-type=2").body == raw.send("GET", f"/{few}", "list-type=2").body


def test_list_objects_v2_with_encoding_type_url(bucket: str, s3: Any, raw: RawClient) -> None:
    s3.put_object(Bucket=bucket, Key="ü b/+c", Body=b"")
    answer = raw.send("GET", f"/{bucket}", "delimiter=%2B&encoding-type=url&list-type=2&prefix=%C3%BC&start-after=%C3%BC%20")
    text = answer.body.decode()
    assert "<EncodingType>url</EncodingType>" in text and "<StartAfter>%C3%BC%20</StartAfter>" in text  # B044
    assert "<CommonPrefixes><Prefix>%C3%BC%20b/%2B</Prefix></CommonPrefixes>" in text and "<Delimiter>%2B</Delimiter>" in text


@pytest.mark.parametrize("encoding", ["", "URL"])
def test_list_objects_v2_with_unknown_encoding_type_is_refused(s3: Any, few: str, encoding: str) -> None:
    error = refused(400, "InvalidArgument", s3.list_objects_v2, Bucket=few, EncodingType=encoding)
    assert (error["Message"], error["ArgumentName"]) == ("Invalid Encoding Method specified in Request", "encoding-type")


def test_list_objects_v2_with_max_keys_zero_is_empty_and_not_truncated(s3: Any, few: str) -> None:
    page = s3.list_objects_v2(Bucket=few, MaxKeys=0)
    assert (page["KeyCount"], page["MaxKeys"], page["IsTruncated"], entries_of(page)) == (0, 0, False, [])  # B043
    assert "NextContinuationToken" not in page


@pytest.mark.parametrize(("text", "name"), [("-5", "maxKeys"), ("x", "max-keys"), ("2147483648", "max-keys")])
def test_list_objects_v2_with_impossible_max_keys_is_refused(few: str, raw: RawClient, text: str, name: str) -> None:
    answer = raw.send("GET", f"/{few}", f"list-type=2&max-keys={text}")
    assert answer.status == 400 and b"<Code>InvalidArgument</Code>" in answer.body
    assert f"<ArgumentName>{name}</ArgumentName><ArgumentValue>{text}</ArgumentValue>".encode() in answer.body


def test_list_objects_v2_with_more_than_a_thousand_keys(s3: Any, server: Any) -> None:
    keys = [f"{number % 7}/{number:04}" for number in range(1003)]
    with filled_bucket(s3, keys) as bucket:
        page = s3.list_objects_v2(Bucket=bucket, MaxKeys=5000)
        assert (page["MaxKeys"], page["KeyCount"], page["IsTruncated"]) == (1000, 1000, True)  # B043
        following = s3.list_objects_v2(Bucket=bucket, ContinuationToken=page["NextContinuationToken"])
        assert entries_of(page) + entries_of(following) == expected(keys)
        assert entries_of(s3.list_objects_v2(Bucket=bucket, Delimiter="/")) == [(f"{number}/", True) for number in range(7)]


def test_list_objects_v2_in_missing_bucket(s3: Any) -> None:
    assert refused(404, "NoSuchBucket", s3.list_objects_v2, Bucket="missing-bucket")["BucketName"] == "missing-bucket"
