"""Text that others wrote, made visible: for pages, terminals and logs.

A key may hold any character. ESC makes a terminal obey, U+202E reverses what follows it, a line break forges another line of
a log, and a zero-width space makes two names look the same. All of these are shown as Python writes them in a string.
"""

import logging
import re

HAS_NO_REFERENCE = frozenset(map(chr, [0, *range(0x80, 0xA0), *range(0xD800, 0xE000)]))


def visible(text: str) -> str:
    """Return text with its control, format and other unprintable characters escaped."""
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(char: str) -> str:
    return char if char.isprintable() else char.encode("unicode_escape").decode()


#: A tag, or what is between two.
_TAG_OR_TEXT = re.compile(r"<[^<>]*>|[^<>]+")


def visible_page(page: str) -> str:
    """Return a page with the unprintable characters in its text escaped.

    In tags they become character references: the value of a form's field must come back as it is.
    """
    if page.replace("\n", "").replace("\t", "").isprintable():
        return page
    return _TAG_OR_TEXT.sub(_visible_piece, page)


def _visible_piece(found: re.Match[str]) -> str:
    piece = found[0]
    if piece.isprintable():
        return piece
    show = _reference if piece.startswith("<") else _shown
    return "".join(char if char.isprintable() or char in "\n\t" else show(char) for char in piece)


def _reference(char: str) -> str:
    # NUL, C1 controls and surrogates have no references of their own in HTML.
    return _shown(char) if char in HAS_NO_REFERENCE else f"&#x{ord(char):x};"


class VisibleFormatter(logging.Formatter):
    """Formats records so that what a message quotes can neither command a terminal nor forge a line."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = visible(record.message.rstrip("\n"))
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        """Also of a traceback, whose lines are its own."""
        return "\n".join(map(visible, super().format(record).replace("\t", "    ").split("\n")))
