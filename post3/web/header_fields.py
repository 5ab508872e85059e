"""Valid HTTP headers: the name is a token, and the value has no control character but tab (RFC 9110, 5.5 and 5.6.2).

A line break in a name or a value would end the header and start another one, chosen by the user who stored it. So
names and values are checked when they come in (from a presigned URL's query, a request's headers, or the description
stored with an object's bytes). They are checked again when response headers are written (`s3/responses.py`), because
rows may come from older releases or from manual SQL (D69).
"""

import re
from typing import Any

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
#: RFC 9110's CTL without the tab. Non-ASCII characters are data: they are sent as UTF-8 bytes, or encoded.
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def is_name(name: str) -> bool:
    """Whether a string can be the name of a header."""
    return _TOKEN.fullmatch(name) is not None


def is_value(value: str) -> bool:
    """Whether a string can be the value of a header."""
    return _CONTROL.search(value) is None


def clean_value(value: str) -> str:
    """Return the value with each control character replaced by a space, as RFC 9110, 5.5, requires."""
    return _CONTROL.sub(" ", value)


def clean_metadata(metadata: dict[str, str]) -> dict[str, str]:
    """Return the user metadata that can be sent as headers. Names have no `x-amz-meta-` prefix."""
    return {name: value for name, value in metadata.items() if is_name(name) and is_value(value)}


def clean_given(given: dict[str, Any]) -> dict[str, Any]:
    """Return attributes that a client gave with an object in the form that headers can carry."""
    return {name: clean_metadata(value) if isinstance(value, dict) else clean_value(value) for name, value in given.items()}
