"""ListObjects, version 1."""

import random
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest

from tests.raw import RawClient

from .listed import ODD_KEYS, entries_of, expected, filled_bucket, random_keys, refused

KEYS = random_keys(300, seed=1)
PREFIXES = ("", "a", "a/", "/", "::", "\uff5e", "😀", "\U0010ffff", "nothing")
DELIMITERS = ("", "/", "::", "//", "a", "😀", "\U0010ffff", "/\U0010ffff", "nowhere")
NAMESPACE = "{http://s3.amazonaws.com/doc/2006-03-01/}"


@pytest.fixture(scope="module")
def many(s3: Any) -> Iterator[str]:
    with filled_bucket(s3, KEYS) as name:
        yield name


@pytest.fixture(scope="module")
def few(s3: Any) -> Iterator[str]:
    with filled_bucket(s3, ODD_KEYS) as name:
        yield name


def pages(s3: Any, bucket: str, size: int, **query: Any) -> Iterator[dict[str, Any]]:
    """Iterate over a listing as clients do: by NextMarker, or by the last key."""
    marker = ""
    for _ in range(1000):
        page = s3.list_objects(Bucket=bucket, MaxKeys=size, Marker=marker, **query)
        yield page
        if not page["IsTruncated"]:
            return
        assert ("NextMarker" in page) == bool(query.get("Delimiter"))  # B039
        marker = page.get("NextMarker") or page["Contents"][-1]["Key"]
    raise AssertionError("the listing does not end")


def through(s3: Any, bucket: str, size: int, **query: Any) -> list[tuple[str, bool]]:
    """Return all entries, page by page. Every page except the last must be full."""
    found = []
    for page in pages(s3, bucket, size, **query):
        entries = entries_of(page)
        assert len(entries) == size if page["IsTruncated"] else len(entries) <= size
        found += entries
    return found


@pytest.mark.parametrize("delimiter", DELIMITERS)
@pytest.mark.parametrize("prefix", PREFIXES)
def test_list_objects_with_prefix_and_delimiter(s3: Any, many: str, prefix: str, delimiter: str) -> None:
    page = s3.list_objects(Bucket=many, Prefix=prefix, Delimiter=delimiter)
    assert entries_of(page) == expected(KEYS, prefix, delimiter)
    assert unquote(page["Prefix"]) == prefix  # boto3 leaves it encoded in version 1
    assert (page["Marker"], page["IsTruncated"], page["MaxKeys"]) == ("", False, 1000)
    assert page.get("Delimiter", "") == delimiter and "NextMarker" not in page


@pytest.mark.parametrize("delimiter", ["", "/", "::", "\U0010ffff"])
def test_list_objects_in_pages_of_every_size(s3: Any, few: str, delimiter: str) -> None:
    whole = expected(ODD_KEYS, "", delimiter)
    for size in range(1, len(whole) + 2):
        assert through(s3, few, size, Delimiter=delimiter) == whole, f"pages of {size}"


@pytest.mark.parametrize("size", [7, 100, 149, 150, 299, 300, 301])
def test_list_objects_of_many_keys_in_pages(s3: Any, many: str, size: int) -> None:
    assert through(s3, many, size) == expected(KEYS)


def test_list_objects_page_as_large_as_the_rest_is_not_truncated(s3: Any, few: str) -> None:
    whole = expected(ODD_KEYS, "a", "/")
    assert not s3.list_objects(Bucket=few, Prefix="a", Delimiter="/", MaxKeys=len(whole))["IsTruncated"]
    page = s3.list_objects(Bucket=few, Prefix="a", Delimiter="/", MaxKeys=len(whole) - 1)
    assert page["IsTruncated"] and page["NextMarker"] == whole[-2][0]


@pytest.mark.parametrize("delimiter", ["", "/", "::"])
@pytest.mark.parametrize(
    "marker", ["a", "a/", "a/b", "a/b/zzz", "a::b", "::", "B", "é", "\uff5e", "😀/", "\U0010ffffz", "none/x", "\x01"]
)
def test_list_objects_after_marker(s3: Any, many: str, marker: str, delimiter: str) -> None:
    page = s3.list_objects(Bucket=many, Marker=marker, Delimiter=delimiter)
    assert entries_of(page) == expected(KEYS, "", delimiter, marker)
    assert page["Marker"] == marker


@pytest.mark.parametrize(
    ("marker", "prefix"), [("a/", "a/"), ("a/b/c", "a/"), ("a/b", "b"), ("z", "a"), ("a", "a/b"), ("a//", "a/")]
)
def test_list_objects_after_marker_within_prefix(s3: Any, few: str, marker: str, prefix: str) -> None:
    page = s3.list_objects(Bucket=few, Marker=marker, Prefix=prefix, Delimiter="/")
    assert entries_of(page) == expected(ODD_KEYS, prefix, "/", marker)


def test_list_objects_at_random(s3: Any, many: str) -> None:
    chance = random.Random(2)
    for number in range(150):
        key, other = chance.choice(KEYS), chance.choice(KEYS)
        query = {
            "Prefix": key[: chance.choice([0, 0, 1, 2, 9])],
            "Delimiter": chance.choice(["", *DELIMITERS, key[1:3]]),
            "Marker": chance.choice(["", other, other[:1], other + "!", key]),
        }
        size = chance.choice([1, 2, 3, 10, 1000])
        page = s3.list_objects(Bucket=many, MaxKeys=size, **query)
        whole = expected(KEYS, query["Prefix"], query["Delimiter"], query["Marker"])
        assert (entries_of(page), page["IsTruncated"]) == (whole[:size], len(whole) > size), f"{number}: {query} {size}"


def test_list_objects_xml_of_an_object(s3: Any, bucket: str, raw: RawClient) -> None:
    etag = s3.put_object(Bucket=bucket, Key="a<&>b", Body=b"12345", ChecksumAlgorithm="SHA256")["ETag"]
    answer = raw.send("GET", f"/{bucket}")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/xml")
    assert answer.body.startswith(
        b'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    )
    root = ElementTree.fromstring(answer.body)
    top = [(element.tag.removeprefix(NAMESPACE), element.text) for element in root if len(element) == 0]
    assert top == [("Name", bucket), ("Prefix", None), ("Marker", None), ("MaxKeys", "1000"), ("IsTruncated", "false")]
    fields = {element.tag.removeprefix(NAMESPACE): element.text for element in root.find(f"{NAMESPACE}Contents")}
    assert fields["Key"] == "a<&>b" and fields["ETag"] == etag and fields["Size"] == "5"
    assert fields["StorageClass"] == "STANDARD"  # B035
    assert (fields["ChecksumAlgorithm"], fields["ChecksumType"]) == ("SHA256", "FULL_OBJECT")  # B048
    assert fields["LastModified"].endswith(".000Z")
    assert len(root.find(f"{NAMESPACE}Contents/{NAMESPACE}Owner/{NAMESPACE}ID").text) == 64  # B038
    assert root.find(f".//{NAMESPACE}DisplayName") is None  # B023


@pytest.mark.parametrize("query", ["", "list-type=1", "list-type=3", "list-type=", "prefix=a&prefix=b&list-type"])
def test_list_objects_with_any_list_type_but_two_is_version_one(few: str, raw: RawClient, query: str) -> None:
    answer = raw.send("GET", f"/{few}", query)
    assert answer.status == 200 and b"<Marker>" in answer.body and b"<KeyCount>" not in answer.body  # B037
    assert (b"<Prefix>a</Prefix>" in answer.body) == ("prefix=a" in query)  # B047


def test_list_objects_with_trailing_slash_in_the_path(few: str, raw: RawClient) -> None:
    assert raw.send("GET", f"/{few}/").body == raw.send("GET", f"/{few}").body


def test_list_objects_of_empty_bucket(s3: Any, bucket: str, raw: RawClient) -> None:
    page = s3.list_objects(Bucket=bucket, Delimiter="/")
    assert not page["IsTruncated"] and "Contents" not in page and "CommonPrefixes" not in page
    assert raw.send("HEAD", f"/{bucket}").status == 200


def test_list_objects_with_empty_delimiter_is_like_without(few: str, raw: RawClient) -> None:
    answer = raw.send("GET", f"/{few}", "delimiter=&encoding-type=url")
    assert answer.status == 200 and b"<Delimiter" not in answer.body and b"CommonPrefixes" not in answer.body  # B046


def test_list_objects_with_encoding_type_url(bucket: str, s3: Any, raw: RawClient) -> None:
    odd = "ü b/+=&'(~)*-_.é😀\x01/x"
    for key in (odd, "ü b/😀 c"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"")
    answer = raw.send("GET", f"/{bucket}", "delimiter=%20c&encoding-type=url&marker=%C3%BC%20a%2B&max-keys=1&prefix=%C3%BC%20")
    text = answer.body.decode()
    assert answer.status == 200 and "<EncodingType>url</EncodingType>" in text
    assert (
        "<Prefix>%C3%BC%20</Prefix>" in text
        and "<Delimiter>%20c</Delimiter>" in text
        and "<Marker>%C3%BC%20a%2B</Marker>" in text
    )
    assert "<Key>%C3%BC%20b/%2B%3D%26%27%28~%29*-_.%C3%A9%F0%9F%98%80%01/x</Key>" in text  # B044, with %20 for a space
    assert "<NextMarker>%C3%BC%20b/%2B%3D%26%27%28~%29*-_.%C3%A9%F0%9F%98%80%01/x</NextMarker>" in text
    page = raw.send("GET", f"/{bucket}", "delimiter=%20c&encoding-type=url&prefix=%C3%BC").body.decode()
    assert "<CommonPrefixes><Prefix>%C3%BC%20b/%F0%9F%98%80%20c</Prefix></CommonPrefixes>" in page
    s3.delete_object(Bucket=bucket, Key=odd)


def test_list_objects_without_encoding_escapes_characters_invalid_in_xml(bucket: str, s3: Any, raw: RawClient) -> None:
    s3.put_object(Bucket=bucket, Key="a\x01\n<&>\"'\uffff", Body=b"")
    answer = raw.send("GET", f"/{bucket}")
    s3.delete_object(Bucket=bucket, Key="a\x01\n<&>\"'\uffff")
    assert b"<Key>a&#x1;&#xA;&lt;&amp;&gt;&quot;'&#xffff;</Key>" in answer.body and b"EncodingType" not in answer.body


@pytest.mark.parametrize("encoding", ["", "URL", "base64"])
def test_list_objects_with_unknown_encoding_type_is_refused(s3: Any, few: str, encoding: str) -> None:
    error = refused(400, "InvalidArgument", s3.list_objects, Bucket=few, EncodingType=encoding)
    assert error["Message"] == "Invalid Encoding Method specified in Request"  # B045
    assert (error["ArgumentName"], error.get("ArgumentValue") or "") == ("encoding-type", encoding)


def test_list_objects_with_max_keys_zero_is_empty_and_not_truncated(s3: Any, few: str) -> None:
    page = s3.list_objects(Bucket=few, MaxKeys=0)
    assert (page["MaxKeys"], page["IsTruncated"], entries_of(page)) == (0, False, [])  # B043


@pytest.mark.parametrize("text", ["1001", "2147483647"])
def test_list_objects_with_too_large_max_keys_has_pages_of_a_thousand(few: str, raw: RawClient, text: str) -> None:
    answer = raw.send("GET", f"/{few}", f"max-keys={text}")
    assert answer.status == 200 and b"<MaxKeys>1000</MaxKeys>" in answer.body


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("-1", "maxKeys", "Argument maxKeys must be an integer between 0 and 2147483647"),
        ("2147483648", "max-keys", "Provided max-keys not an integer or within integer range"),
        ("99999999999999999999", "max-keys", "Provided max-keys not an integer or within integer range"),
        ("ten", "max-keys", "Provided max-keys not an integer or within integer range"),
        ("1.5", "max-keys", "Provided max-keys not an integer or within integer range"),
        ("%D9%A1", "max-keys", "Provided max-keys not an integer or within integer range"),
    ],
)
def test_list_objects_with_impossible_max_keys_is_refused(few: str, raw: RawClient, text: str, name: str, message: str) -> None:
    answer = raw.send("GET", f"/{few}", f"max-keys={text}")
    root = ElementTree.fromstring(answer.body)
    assert answer.status == 400 and root.findtext("Code") == "InvalidArgument"  # B043
    assert (root.findtext("Message"), root.findtext("ArgumentName")) == (message, name)


def test_list_objects_with_owner_and_storage_class_of_every_key(s3: Any, few: str) -> None:
    contents = s3.list_objects(Bucket=few)["Contents"]
    assert {tuple(entry["Owner"]) for entry in contents} == {("ID",)} and len({entry["Owner"]["ID"] for entry in contents}) == 1


@pytest.mark.parametrize("text", ["%00", "a%FF", "%ED%A0%80"])
def test_list_objects_with_prefix_that_is_not_text_is_refused(few: str, raw: RawClient, text: str) -> None:
    answer = raw.send("GET", f"/{few}", f"prefix={text}")
    assert answer.status == 400 and b"<Code>InvalidURI</Code>" in answer.body


def test_list_objects_in_missing_bucket(s3: Any) -> None:
    error = refused(404, "NoSuchBucket", s3.list_objects, Bucket="missing-bucket", MaxKeys=0)
    assert (error["BucketName"], error["Message"]) == ("missing-bucket", "The specified bucket does not exist")  # B005


def test_list_objects_omits_a_deleted_key_and_lists_an_overwritten_one_once(s3: Any, bucket: str) -> None:
    for key, body in (("a", b"1"), ("b", b"1"), ("b", b"22")):
        s3.put_object(Bucket=bucket, Key=key, Body=body)
    s3.delete_object(Bucket=bucket, Key="a")
    assert [(entry["Key"], entry["Size"]) for entry in s3.list_objects(Bucket=bucket)["Contents"]] == [("b", 2)]
