"""Encoded words (RFC 2047), in which S3 returns non-ASCII metadata (B029, B136).

S3 encodes like JavaMail's `MimeUtility.encodeText`: in quoted-printable if most characters are ASCII, otherwise in
base64. Text whose encoding is longer than 63 characters is halved until each word fits, and the words are joined by
spaces. Lengths and halves are counted in UTF-16 units.
"""

from base64 import b64encode

#: Maximum encoded characters in one word: 75, less `=?UTF-8?Q?` and `?=`.
MAX_ENCODED = 63
_SPECIAL = "=_?"


def encode(text: str) -> str:
    """Encode text as UTF-8 encoded words."""
    ascii_count = sum(" " <= character < "\x7f" for character in text)
    base64 = ascii_count <= _units(text) - ascii_count
    return " ".join(_words(text, base64))


def _words(text: str, base64: bool) -> list[str]:
    encoded = b64encode(text.encode()).decode() if base64 else _quoted(text)
    if len(encoded) > MAX_ENCODED and len(text) > 1:
        middle = _middle(text)
        return _words(text[:middle], base64) + _words(text[middle:], base64)
    return [f"=?UTF-8?{'B' if base64 else 'Q'}?{encoded}?="]


def _quoted(text: str) -> str:
    return "".join(
        "_" if byte == 0x20 else chr(byte) if 0x20 < byte < 0x7F and chr(byte) not in _SPECIAL else f"={byte:02X}"
        for byte in text.encode()
    )


def _units(text: str) -> int:
    """Count UTF-16 units."""
    return len(text) + sum(character > "\uffff" for character in text)


def _middle(text: str) -> int:
    """Return where to halve text of several characters: after the last character in the first half of its units."""
    half, place, units = _units(text) // 2, 0, 0
    while (units := units + _units(text[place])) <= half:
        place += 1
    return max(place, 1)
