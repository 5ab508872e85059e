"""If-Range: a range applies only to the version the client has.

For any other version the whole object is returned (B152; RFC 9110, 13.1.5).
"""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from ..helpers import etag_of, status_of
from ..raw import RawClient, RawResponse

BODY = b"0123456789"
ETAG, OTHER = etag_of(BODY), etag_of(b"another")
RANGE = ("Range", "bytes=2-5")
PART, WHOLE = (206, b"2345"), (200, BODY)
MIB = 1 << 20


@pytest.fixture
def modified(s3: Any, bucket: str) -> datetime:
    """Store the object `file` and return its modification time."""
    s3.put_object(Bucket=bucket, Key="file", Body=BODY, CacheControl="max-age=60", Expires=datetime(2030, 1, 1, tzinfo=UTC))
    return s3.head_object(Bucket=bucket, Key="file")["LastModified"]


def ask(raw: RawClient, bucket: str, *headers: tuple[str, str], method: str = "GET", query: str = "") -> RawResponse:
    answer = raw.send(method, f"/{bucket}/file", query, headers=headers)
    assert answer is not None
    return answer


@pytest.mark.parametrize(
    ("condition", "wanted"),
    [
        (ETAG, PART),
        (OTHER, WHOLE),
        (f"W/{ETAG}", WHOLE),  # the comparison is strong
        (f"w/{ETAG}", WHOLE),
        (f"{OTHER}, {ETAG}", WHOLE),  # one validator, not a list
        ("*", WHOLE),
        ('"*"', WHOLE),
        (ETAG.strip('"'), WHOLE),  # an unquoted value is not an entity tag
        (ETAG[:-1], WHOLE),
        (ETAG.upper(), WHOLE),
        ("", WHOLE),
        ("nonsense", WHOLE),
    ],
)
def test_get_object_with_an_etag_in_if_range(
    modified: datetime, bucket: str, raw: RawClient, condition: str, wanted: tuple[int, bytes]
) -> None:
    answer = ask(raw, bucket, RANGE, ("If-Range", condition))
    assert (answer.status, answer.body) == wanted
    assert ("content-range" in answer.headers) == (wanted is PART)


@pytest.mark.parametrize(
    ("seconds", "pattern", "wanted"),
    [
        (0, "%a, %d %b %Y %H:%M:%S GMT", PART),
        (0, "%A, %d-%b-%y %H:%M:%S GMT", PART),  # RFC 850
        (0, "%a %b %d %H:%M:%S %Y", PART),  # asctime
        (-1, "%a, %d %b %Y %H:%M:%S GMT", WHOLE),
        (1, "%a, %d %b %Y %H:%M:%S GMT", WHOLE),  # unlike If-Unmodified-Since, the time must be equal
        (3600, "%a, %d %b %Y %H:%M:%S GMT", WHOLE),
        (0, "%Y-%m-%dT%H:%M:%SZ", WHOLE),
        (0, '"%a, %d %b %Y %H:%M:%S GMT"', WHOLE),
    ],
)
def test_get_object_with_a_date_in_if_range(
    modified: datetime, bucket: str, raw: RawClient, seconds: int, pattern: str, wanted: tuple[int, bytes]
) -> None:
    answer = ask(raw, bucket, RANGE, ("If-Range", (modified + timedelta(seconds=seconds)).strftime(pattern)))
    assert (answer.status, answer.body) == wanted


@pytest.mark.parametrize("condition", [OTHER, "Mon, 01 Jan 2001 00:00:00 GMT"])
def test_failed_if_range_with_an_unsatisfiable_range_returns_the_whole_object(
    modified: datetime, bucket: str, raw: RawClient, condition: str
) -> None:
    far = ("Range", "bytes=50-")
    answer = ask(raw, bucket, far, ("If-Range", condition))
    assert (answer.status, answer.body) == WHOLE
    assert ask(raw, bucket, far, ("If-Range", ETAG)).status == 416


def test_if_range_without_a_range_is_ignored(modified: datetime, bucket: str, raw: RawClient) -> None:
    for headers in ((("If-Range", OTHER),), (("If-Range", ETAG), ("Range", "pages=1-2"))):
        answer = ask(raw, bucket, *headers)
        assert (answer.status, answer.body) == WHOLE
    part = ask(raw, bucket, ("If-Range", OTHER), query="partNumber=1")
    assert (part.status, part.body) == (206, BODY)  # partNumber is not Range, so If-Range is ignored


def test_head_object_with_if_range_behaves_like_get(modified: datetime, bucket: str, raw: RawClient) -> None:
    right = ask(raw, bucket, RANGE, ("If-Range", ETAG), method="HEAD")
    assert (right.status, right.headers["content-range"], right.headers["content-length"]) == (206, "bytes 2-5/10", "4")
    wrong = ask(raw, bucket, RANGE, ("If-Range", OTHER), method="HEAD")
    assert (wrong.status, wrong.headers["content-length"]) == (200, "10")
    assert "content-range" not in wrong.headers


def test_other_conditions_are_evaluated_before_if_range(modified: datetime, bucket: str, raw: RawClient) -> None:
    assert ask(raw, bucket, RANGE, ("If-Range", ETAG), ("If-Match", OTHER)).status == 412
    assert ask(raw, bucket, RANGE, ("If-Range", OTHER), ("If-None-Match", ETAG)).status == 304
    answer = ask(raw, bucket, RANGE, ("If-Range", OTHER), ("If-Match", ETAG))
    assert (answer.status, answer.body) == WHOLE


def test_resumed_download_after_an_overwrite_gets_the_whole_new_object(s3: Any, bucket: str, raw: RawClient) -> None:
    old = s3.put_object(Bucket=bucket, Key="file", Body=b"old" * MIB)["ETag"]
    s3.put_object(Bucket=bucket, Key="file", Body=b"new" * MIB)
    answer = ask(raw, bucket, ("Range", f"bytes={MIB}-"), ("If-Range", old))
    assert (answer.status, answer.body) == (200, b"new" * MIB)


def test_range_units_are_read_in_any_case(modified: datetime, bucket: str, raw: RawClient) -> None:
    """RFC 9110, 14.1."""
    for text in ("Bytes=2-5", "BYTES=2-5"):
        answer = ask(raw, bucket, ("Range", text))
        assert (answer.status, answer.body) == PART


@pytest.mark.parametrize(
    ("condition", "status"),
    [
        (("If-Match", f"W/{ETAG}"), 412),  # strong (RFC 9110, 13.1.1)
        (("If-Match", f"{OTHER}, W/{ETAG}"), 412),
        (("If-Match", f"{OTHER} , {ETAG}"), 200),
        (("If-Match", f'"a,{ETAG[1:-1]},b"'), 412),  # a comma inside an entity tag is not a separator
        (("If-Match", '"*"'), 412),  # an ordinary entity tag
        (("If-None-Match", f"W/{ETAG}"), 304),  # weak (RFC 9110, 13.1.2)
        (("If-None-Match", f"{OTHER}, W/{ETAG}"), 304),
        (("If-None-Match", f'"a,{ETAG[1:-1]},b"'), 200),
        (("If-None-Match", '"*"'), 200),
    ],
)
def test_entity_tags_are_compared_as_each_condition_requires(
    modified: datetime, bucket: str, raw: RawClient, condition: tuple[str, str], status: int
) -> None:
    for method in ("GET", "HEAD"):
        assert ask(raw, bucket, condition, method=method).status == status


def test_writes_compare_if_match_strongly(s3: Any, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="file", Body=BODY)
    for call in (s3.put_object, s3.delete_object):
        with pytest.raises(s3.exceptions.ClientError) as caught:
            call(Bucket=bucket, Key="file", IfMatch=f"W/{ETAG}")
        assert caught.value.response["Error"]["Code"] == "PreconditionFailed"
    assert status_of(s3.put_object(Bucket=bucket, Key="file", Body=b"x", IfMatch=f"{OTHER}, {ETAG}")) == 200


def test_not_modified_has_the_headers_that_a_cache_updates(modified: datetime, bucket: str, raw: RawClient) -> None:
    """RFC 9110, 15.4.5."""
    answer = ask(raw, bucket, ("If-None-Match", ETAG))
    assert answer.status == 304
    assert answer.headers["etag"] == ETAG
    assert answer.headers["last-modified"] == format_datetime(modified.astimezone(UTC), usegmt=True)
    assert answer.headers["cache-control"] == "max-age=60"
    assert answer.headers["expires"] == "Tue, 01 Jan 2030 00:00:00 GMT"
