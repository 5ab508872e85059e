"""Rebuilding from descriptions with values that are not valid headers: the object comes back without them (D69)."""

from collections.abc import Callable

import pytest

from post3.models import Object, ObjectMetadata

from ..stores import Store
from .rebuilt import Report, rewrite, sidecar_of

POISON = "a\r\nSet-Cookie: poison=1"


@pytest.mark.parametrize(
    "metadata",
    [{"a\r\nSet-Cookie: x": "1"}, {"a\nb": "1"}, {"a b": "1"}, {"": "1"}, {"\u00fc": "1"}, {"a": POISON}, {"a": "\x1b[31m"}],
)
def test_metadata_that_cannot_be_headers_are_left_out_and_reported(
    tree: Store, lose: Callable[[], None], metadata: dict[str, str]
) -> None:
    data = tree.put("k", 1000)
    rewrite(sidecar_of(tree, "k"), metadata={"good": "1", **metadata})
    lose()
    report = Report()
    assert report.reasons == ["bucket/k: omitted metadata that cannot be headers: 1"]
    assert list(ObjectMetadata.objects.values_list("name", "value")) == [("good", "1")]
    assert tree.read("k") == data


@pytest.mark.parametrize("column", ["content_type", "content_disposition", "content_language", "cache_control", "expires"])
def test_headers_with_control_characters_are_cleaned(tree: Store, lose: Callable[[], None], column: str) -> None:
    data = tree.put("k", 1000)
    rewrite(sidecar_of(tree, "k"), headers={column: POISON})
    lose()
    Report()
    assert getattr(Object.objects.get(key="k"), column) == "a  Set-Cookie: poison=1"
    assert tree.read("k") == data
