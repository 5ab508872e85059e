"""Escape untrusted text for display on pages, on terminals and in logs.

A key may contain any character. ESC starts a terminal control sequence, U+202E reverses the text after it, a line break
can forge a log line, and a zero-width space makes two names look the same. All of these are shown as Python string
escapes.
"""

import logging
import re

HAS_NO_REFERENCE = frozenset(map(chr, [0, *range(0x80, 0xA0), *range(0xD800, 0xE000)]))


def visible(text: str) -> str:
    """Return text with control, format and other unprintable characters escaped."""
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(char: str) -> str:
    return char if char.isprintable() else char.encode("unicode_escape").decode()


#: A tag, or the text between two tags.
_TAG_OR_TEXT = re.compile(r"<[^<>]*>|[^<>]+")


def visible_page(page: str) -> str:
    """Return a page with the unprintable characters in its text escaped.

    Inside tags they become character references, so that a form sends its field values back unchanged.
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
    # NUL, C1 controls and surrogates cannot be written as character references in HTML.
    return _shown(char) if char in HAS_NO_REFERENCE else f"&#x{ord(char):x};"


class VisibleFormatter(logging.Formatter):
    """A formatter that escapes log records, so that quoted text can neither control a terminal nor forge a line."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        record.message = visible(record.message.rstrip("\n"))
        return super().formatMessage(record)

    def format(self, record: logging.LogRecord) -> str:
        """Escape the whole record, including a traceback, but keep its line breaks."""
        return "\n".join(map(visible, super().format(record).replace("\t", "    ").split("\n")))
