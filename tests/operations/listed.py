"""Helpers for the tests of listings: keys, a bucket that contains them, and the expected listing in plain Python."""

import random
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from botocore.exceptions import ClientError

#: Letters, delimiters, and characters of one to four bytes. U+FF5E comes after the surrogates, so UTF-16 order differs
#: from byte order.
_PIECES = (
    "a",
    "b",
    "B",
    "/",
    "/",
    "//",
    "::",
    ":",
    "-",
    " ",
    "+",
    "%",
    "%2F",
    "\x01",
    "\x7f",
    "é",
    "~",
    "\uff5e",
    "😀",
    "\U0010ffff",
)

#: Keys that are easy to get wrong: equal to prefixes, with delimiters first and last, in byte order rather than UTF-16
#: order.
ODD_KEYS = (
    *("a", "a/", "a/b", "a//b", "a/b/", "a/b/c", "a/c", "a0", "a-", "b", "/", "//", "/a", "a::b", "a::", "::", ":a:", "a:b::c"),
    *(
        "é",
        "é/é",
        "\uff5e",
        "\uff5e/x",
        "😀",
        "😀/😀",
        "\U0010ffff",
        "\U0010ffffx",
        "a\U0010ffff/1",
        "a b",
        "a+b",
        "a%2Fb",
        "~",
        "Z",
    ),
    *("a/\uff5e", "a/😀", "a/\U0010ffff", "a/\x01", "a\x01"),
)


def random_keys(count: int, seed: int) -> list[str]:
    """Return `count` distinct keys, always the same ones for a seed."""
    chance = random.Random(seed)
    keys = set(ODD_KEYS)
    while len(keys) < count:
        keys.add("".join(chance.choices(_PIECES, k=chance.randint(1, 7))))
    return sorted(keys, key=str.encode)


def expected(
    keys: Iterable[str], prefix: str = "", delimiter: str = "", after: str = "", inside: bool = False
) -> list[tuple[str, bool]]:
    """Return (name, is a common prefix) for every entry of a listing, in order.

    With `inside`, a common prefix is listed if any key below it comes after `after` (start-after). Without it (marker),
    it is listed only if `after` is not itself below the prefix.
    """
    entries: list[tuple[str, bool]] = []
    for key in sorted(keys, key=str.encode):
        if not key.startswith(prefix):
            continue
        place = key.find(delimiter, len(prefix)) if delimiter else -1
        entry = (key, False) if place < 0 else (key[: place + len(delimiter)], True)
        if after and key.encode() <= after.encode():
            continue
        if entry[1] and not inside and after.startswith(entry[0]):
            continue
        if entry not in entries[-1:]:
            entries.append(entry)
    return entries


def entries_of(page: dict[str, Any]) -> list[tuple[str, bool]]:
    """Return the entries of a boto3 page, keys and common prefixes merged in order."""
    keys = [entry["Key"] for entry in page.get("Contents", [])]
    prefixes = [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]
    for names in (keys, prefixes):
        assert names == sorted(names, key=str.encode)
    return sorted([*((key, False) for key in keys), *((name, True) for name in prefixes)], key=lambda entry: entry[0].encode())


@contextmanager
def filled_bucket(s3: Any, keys: Iterable[str]) -> Iterator[str]:
    """Create a bucket with an empty object under each of these keys, yield its name, and remove it."""
    name, wanted = f"listed-{uuid.uuid4().hex[:16]}", list(keys)
    s3.create_bucket(Bucket=name)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda key: s3.put_object(Bucket=name, Key=key, Body=b""), wanted))
    yield name
    for start in range(0, len(wanted), 1000):
        objects = [{"Key": key} for key in wanted[start : start + 1000] if all(c >= " " for c in key)]
        s3.delete_objects(Bucket=name, Delete={"Objects": objects, "Quiet": True})
    for key in wanted:
        if not all(c >= " " for c in key):  # XML cannot contain the key
            s3.delete_object(Bucket=name, Key=key)
    s3.delete_bucket(Bucket=name)


def refused(status: int, code: str, call: Callable[..., Any], **arguments: Any) -> dict[str, Any]:
    """Assert that a boto3 call fails with this status and code. Return the error's elements (Code, Message, fields)."""
    with pytest.raises(ClientError) as caught:
        call(**arguments)
    response = caught.value.response
    assert (response["ResponseMetadata"]["HTTPStatusCode"], response["Error"]["Code"]) == (status, code), response
    return response["Error"]
