"""XML documents with an altered structure, which a parser must refuse or survive, whatever their names mean."""

import re
from collections.abc import Callable

from .mutations import Mutator

#: Encodings for the declaration: known to expat, known only to Python, and unknown to both.
ENCODINGS = (
    b"UTF-8 utf-16 utf-16le utf-32 iso-8859-1 us-ascii windows-1252 koi8-r shift_jis utf-7 idna punycode rot13 hex base64 zlib "
    b"mbcs unicode_escape undefined nonsense"
).split()
#: The size in bytes to which an altered document may grow.
LARGEST = 1 << 18
_DECLARATION = re.compile(rb"\A\s*<\?xml[^>]*\?>")
_ELEMENT = re.compile(rb"<([A-Za-z0-9]+)>[^<]*</\1>")
_START = re.compile(rb"<([A-Za-z0-9]+)(?=[ >])")


def bend_structure(document: bytes, mutator: Mutator) -> bytes:
    """Return the document with one change of its structure, with at most about `LARGEST` bytes."""
    return mutator.one_of(_CHANGES)(document, mutator)


def _repeat(document: bytes, mutator: Mutator) -> bytes:
    """Repeat an element, or an empty element of the same name."""
    found = list(_ELEMENT.finditer(document))
    if not found:
        return document + b"<a/>"
    element = mutator.one_of(found)
    again = mutator.one_of((element[0], b"<%s/>" % element[1], b"<a/>"))
    count = min(mutator.one_of((1, 2, 999, 1001, 10001, 50_000)), LARGEST // len(again))
    return document[: element.end()] + again * count + document[element.end() :]


def _nest(document: bytes, mutator: Mutator) -> bytes:
    """Nest an element in itself, or the whole document in elements."""
    depth = mutator.one_of((1, 2, 50, 1000, 20_000))
    found = list(_ELEMENT.finditer(document))
    start, end, name = (0, len(document), b"a")
    if found and mutator.happens(0.8):
        element = mutator.one_of(found)
        start, end, name = element.start(), element.end(), element[1]
    closing = b"</%s>" % name * depth if mutator.happens(0.8) else b""
    return document[:start] + b"<%s>" % name * depth + document[start:end] + closing + document[end:]


def _attributes(document: bytes, mutator: Mutator) -> bytes:
    """Give an element attributes: many, long, duplicate, or namespaces."""
    found = list(_START.finditer(document))
    if not found:
        return document
    place = mutator.one_of(found).end()
    count = mutator.one_of((1, 2, 100, 5000))
    kind = mutator.random.randrange(4)
    if kind == 0:
        added = b"".join(b' a%d="%d"' % (number, number) for number in range(count))
    elif kind == 1:
        added = b' a="%s"' % (b"x" * mutator.one_of((1, 1000, LARGEST)))
    elif kind == 2:
        added = b' a="1" a="2"'
    else:
        added = b"".join(b' xmlns:n%d="http://example.com/%d"' % (number, number) for number in range(count))
    return document[:place] + added + document[place:]


def _encoding(document: bytes, mutator: Mutator) -> bytes:
    """Declare another encoding, or encode the document in one."""
    rest = _DECLARATION.sub(b"", document)
    if mutator.happens(0.3):
        text = document.decode("utf-8", "replace")
        return text.encode(mutator.one_of(("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig")))
    return b'<?xml version="%s" encoding="%s"?>' % (mutator.one_of((b"1.0", b"1.1", b"2")), mutator.one_of(ENCODINGS)) + rest


def _doctype(document: bytes, mutator: Mutator) -> bytes:
    """Declare a document type, with entities that are used or not."""
    declared = mutator.one_of(
        (
            b"<!DOCTYPE Delete>",
            b'<!DOCTYPE a SYSTEM "file:///etc/passwd">',
            b'<!DOCTYPE a [<!ENTITY x "x">]>',
            b'<!DOCTYPE a [<!ENTITY x SYSTEM "http://127.0.0.1:1/">]>',
            b'<!DOCTYPE a [<!ENTITY x "xxxxxxxxxx"><!ENTITY y "%s">]>' % (b"&x;" * 100),
        )
    )
    found = _DECLARATION.match(document)
    place = found.end() if found else 0
    return document[:place] + declared + document[place:].replace(b"</", mutator.one_of((b"</", b"&x;</", b"&y;</")), 1)


def _markup(document: bytes, mutator: Mutator) -> bytes:
    """Insert a comment, an instruction, a CDATA section, white space or a reference between two tags."""
    places = [found.start() for found in re.finditer(rb"<", document)] or [0]
    place = mutator.one_of(places)
    text = b"x" * mutator.one_of((0, 1, 1000, LARGEST))
    added = mutator.one_of(
        (
            b"<!--%s-->",
            b"<?php %s?>",
            b"<![CDATA[%s]]>",
            b"\n%s\n",
            b"&#x1f600;%s",
            b"&#0;%s",
            b"&#xd800;%s",
            b"&nothing;%s",
            b"]]>%s",
        )
    )
    return document[:place] + added % text + document[place:]


def _names(document: bytes, mutator: Mutator) -> bytes:
    """Change the names of elements: a prefix, another namespace, another name, another case."""
    kind = mutator.random.randrange(4)
    if kind == 0:
        return re.sub(rb"(</?)([A-Z])", rb"\1s3:\2", document)
    if kind == 1:
        return document.replace(b"http://s3.amazonaws.com/doc/2006-03-01/", mutator.one_of((b"", b"urn:x", mutator.spice())))
    found = list(_ELEMENT.finditer(document))
    if not found:
        return document.swapcase()
    name = mutator.one_of(found)[1]
    return document.replace(name, mutator.one_of((name.lower(), b"a" * 5000, mutator.bend(name))))


def _ends(document: bytes, mutator: Mutator) -> bytes:
    """Truncate the document, or add to either end."""
    kind = mutator.random.randrange(4)
    if kind == 0:
        return document[: mutator.random.randint(0, len(document))]
    if kind == 1:
        return document + mutator.one_of((document, b"<a/>", b"\x00", b"\xff", b" " * 5000))
    if kind == 2:
        return mutator.one_of((b" ", b"\n\n", b"\xef\xbb\xbf", b"\xff\xfe", b"\x00", b"<!-- -->")) + document
    return b""


_CHANGES: tuple[Callable[[bytes, Mutator], bytes], ...] = (
    _repeat,
    _nest,
    _attributes,
    _encoding,
    _doctype,
    _markup,
    _names,
    _ends,
)
