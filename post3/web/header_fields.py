"""What an HTTP header may be: its name is a token, its value holds no control character but the tab (RFC 9110, 5.5 and 5.6.2).

A line break in a name or a value would end the header and begin another one, of whoever stored it. So names and values are
checked where they are adopted (a presigned URL's query, a request's headers, a description beside the bytes), and again where
heads are written (`s3/responses.py`), because rows may come from older releases or from SQL by hand (D69).
"""

import re
from typing import Any

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: CTL of RFC 9110, without the tab. Characters beyond ASCII are data: they travel as bytes of UTF-8, or encoded.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def is_name(name: str) -> bool:
    """Whether this can be the name of a header."""
    return _TOKEN.fullmatch(name) is not None


def is_value(value: str) -> bool:
    """Whether this can be the value of a header."""
    return _CONTROL.search(value) is None


def clean_value(value: str) -> str:
    """Return the value with a space for each control character, as RFC 9110, 5.5, wants it."""
    return _CONTROL.sub(" ", value)


def clean_metadata(metadata: dict[str, str]) -> dict[str, str]:
    """Return the user metadata that headers can carry; names without `x-amz-meta-`."""
    return {name: value for name, value in metadata.items() if is_name(name) and is_value(value)}


def clean_given(given: dict[str, Any]) -> dict[str, Any]:
    """Return attributes that a client gave with an object, as headers can carry them: values cleaned, metadata filtered."""
    return {name: clean_metadata(value) if isinstance(value, dict) else clean_value(value) for name, value in given.items()}
