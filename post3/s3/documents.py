"""Writing S3's XML documents from nested (name, value) pairs. `reading.py` reads the documents of requests.

A value is text, a number, a boolean, a datetime, a list of pairs, or `Markup`, which is already XML. None leaves out
the element. A pair without a name is rendered as its value alone.
"""

import re
from datetime import datetime
from typing import TypeAlias

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'

_UNSAFE = re.compile(r"[&<>\"\x00-\x1f\x7f\ufffe\uffff]")
_NAMED = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "\n": "&#xA;", "\t": "&#x9;"}


class Markup(str):
    """Text that is already XML."""


Value: TypeAlias = "str | int | bool | datetime | Markup | list[Node] | None"
Node: TypeAlias = tuple[str, Value]


def escape(text: str) -> str:
    """Escape text. Control characters become character references, as in S3. Strict parsers need encoding-type=url."""
    return _UNSAFE.sub(lambda found: _NAMED.get(found[0]) or f"&#x{ord(found[0]):x};", text)


def iso_time(moment: datetime) -> str:
    """Format a UTC datetime as S3 does in XML: 2009-10-12T17:50:30.000Z. S3 keeps whole seconds.

    Does not use strftime, which takes six times as long: a page of a listing contains a thousand of these.
    """
    return f"{moment.isoformat()[:19]}.000Z"


def render(name: str, value: Value) -> str:
    """Render an element, or return "" for None."""
    if value is None:
        return ""
    if isinstance(value, list):
        inner = "".join([render(child, content) for child, content in value])
    elif isinstance(value, Markup):
        inner = value
    elif isinstance(value, bool):
        inner = "true" if value else "false"
    elif isinstance(value, datetime):
        inner = iso_time(value)
    else:
        inner = escape(str(value))
    return f"<{name}>{inner}</{name}>" if name else inner


def document(root: str, nodes: list[Node] | str, namespace: bool = True) -> bytes:
    """Render a complete document. `nodes` may be the text of the root element."""
    inner = escape(nodes) if isinstance(nodes, str) else "".join([render(name, value) for name, value in nodes])
    attribute = f' xmlns="{NAMESPACE}"' if namespace else ""
    return f"{DECLARATION}<{root}{attribute}>{inner}</{root}>".encode()
