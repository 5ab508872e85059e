"""Reading clients' XML documents as a stream, with expat and within limits.

A document is a root with a few elements, and possibly up to 10,000 items of one name (`Object`, `Part`). Each item is
passed to a callback when it ends and is not kept, so memory does not grow with the document. A document that exceeds a
limit raises MalformedXML immediately. All limits are far beyond what a client has a reason to send.

DTDs are refused, which also rules out entities. expat itself decodes UTF-8, UTF-16, ISO-8859-1 and US-ASCII. All other
encodings are refused, because they would be looked up among Python's codecs, and some of these (rot13, hex) are not
text encodings.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from xml.parsers import expat

from ..errors import MalformedXML
from .body import Source
from .documents import NAMESPACE

#: Maximum nesting of elements, including the root.
MAX_DEPTH = 8
#: Maximum elements below an item, and elements outside items in the whole document. A bucket may have 50 tags of three
#: elements each.
MAX_IN_ITEM, MAX_OUTSIDE = 32, 256
#: Maximum characters of an element's text. A key has at most 1,024.
MAX_TEXT = 8 << 10
#: Maximum bytes of a tag, comment or processing instruction: expat holds each of them in memory.
MAX_TOKEN = 32 << 10
MAX_ATTRIBUTES = 16
#: Maximum namespaces declared in the whole document, and characters of each.
MAX_NAMESPACES, MAX_NAMESPACE = 32, 256

_ENCODINGS = frozenset(("utf-8", "utf-16", "iso-8859-1", "us-ascii"))
#: Bytes per call of the parser. After an error, expat continues to the end of them.
_PIECE = 16 << 10


@dataclass(slots=True)
class Element:
    """An element of a request's document. Names in S3's namespace omit the namespace."""

    name: str
    text: str = ""
    children: list["Element"] = field(default_factory=list)

    def child(self, name: str) -> "Element | None":
        """Return the child with this name, or None. Raises MalformedXML if there are several."""
        found = [child for child in self.children if child.name == name]
        if len(found) > 1:
            raise MalformedXML()
        return found[0] if found else None

    def text_of(self, name: str) -> str | None:
        """Return the text of a child ("" if it is empty), or None. Raises MalformedXML if there are several."""
        found = self.child(name)
        return found.text if found else None


@dataclass(frozen=True, slots=True)
class Items:
    """The repeated children of the root: their name, their maximum number, and the callback that gets each of them."""

    name: str
    most: int
    take: Callable[[Element], None]


def parse(source: Source, root: str, items: Items | None = None) -> Element | None:
    """Parse a document to the end of its source. Return its root without the items, or None if the source is empty.

    The root must be named `root`, in S3's namespace or none. Raises MalformedXML and what `source` and `items.take`
    raise.
    """
    data = source.read(_PIECE)
    if not data:
        return None
    reader = _Reader(root, items)
    parser = _parser_of(reader)
    fed = token_start = 0
    try:
        while data:
            parser.Parse(data, False)
            fed += len(data)
            # The index of the token that has started and not ended, or -1 if expat is waiting for more input.
            token_start = max(token_start, parser.CurrentByteIndex)
            if fed - token_start > MAX_TOKEN:
                raise MalformedXML()
            data = source.read(_PIECE)
        parser.Parse(b"", True)
    except expat.ExpatError:
        raise MalformedXML() from None
    return reader.root


def _parser_of(reader: "_Reader") -> expat.XMLParserType:
    """Return a parser with the reader's handlers. There is no reference cycle, so both are freed immediately."""
    parser = expat.ParserCreate(namespace_separator="}")
    parser.buffer_text = parser.ordered_attributes = True
    parser.XmlDeclHandler = reader.declaration
    parser.StartDoctypeDeclHandler = reader.doctype
    parser.StartNamespaceDeclHandler = reader.namespace
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.text
    return parser


class _Reader:
    """A builder of elements from expat's events."""

    def __init__(self, root: str, items: Items | None) -> None:
        self._root_name, self._items = root, items
        self.root = Element(root)
        self._open: list[Element] = []
        self._items_left = items.most if items else 0
        self._outside_left, self._in_item_left = MAX_OUTSIDE, 0
        self._in_item = False
        self._namespaces_left = MAX_NAMESPACES

    def declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding is not None and encoding.lower() not in _ENCODINGS:
            raise MalformedXML()

    def doctype(self, name: str, system_id: str | None, public_id: str | None, has_internal_subset: bool) -> None:
        raise MalformedXML()

    def namespace(self, prefix: str | None, uri: str | None) -> None:
        self._namespaces_left -= 1
        if self._namespaces_left < 0 or len(uri or "") > MAX_NAMESPACE:
            raise MalformedXML()

    def start(self, name: str, attributes: list[str]) -> None:
        name, depth = name.removeprefix(NAMESPACE + "}"), len(self._open)
        if depth == MAX_DEPTH or len(attributes) > 2 * MAX_ATTRIBUTES:
            raise MalformedXML()
        if depth == 0:
            if name != self._root_name:
                raise MalformedXML()
            self._open.append(self.root)
            return
        if depth == 1 and self._items and name == self._items.name:
            self._in_item, self._in_item_left = True, MAX_IN_ITEM
            self._items_left -= 1
        elif self._in_item:
            self._in_item_left -= 1
        else:
            self._outside_left -= 1
        if min(self._items_left, self._in_item_left, self._outside_left) < 0:
            raise MalformedXML()
        self._open.append(Element(name))

    def end(self, name: str) -> None:
        element = self._open.pop()
        if len(self._open) == 1 and self._in_item and self._items:
            self._in_item = False
            self._items.take(element)
        elif self._open:
            self._open[-1].children.append(element)

    def text(self, text: str) -> None:
        if len(self._open) == 1:  # white space of any length between the root's children
            return
        element = self._open[-1]
        element.text += text
        if len(element.text) > MAX_TEXT:
            raise MalformedXML()
