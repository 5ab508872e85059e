"""Finding the end of a chunked body without reading its chunks."""

import random

import pytest

from post3.server.ordered import Chunks


def framed(chunks: list[bytes], trailers: bytes = b"", extension: bytes = b"") -> bytes:
    body = b"".join(b"%x%b\r\n%b\r\n" % (len(chunk), extension, chunk) for chunk in chunks)
    return body + b"0" + extension + b"\r\n" + trailers + b"\r\n"


BODIES = {
    "empty": framed([]),
    "one chunk": framed([b"hello"]),
    "ends within chunks": framed([b"\r\n\r\n", b"0\r\n\r\n", b"\r\n0\r\n\r\n"]),
    "trailers": framed([b"a" * 1000], b"x-a: b\r\nx-b: c\r\n"),
    "extensions": framed([b"\r\n" * 50], extension=b";chunk-signature=abc"),
    "upper case": b"A\r\n0123456789\r\n00\r\n\r\n",
}
NEXT = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize("name", BODIES)
def test_the_end_is_found_before_what_follows(name: str) -> None:
    assert Chunks().end_in(NEXT + BODIES[name] + NEXT, len(NEXT)) == len(NEXT) + len(BODIES[name])


@pytest.mark.parametrize("name", BODIES)
def test_the_end_is_found_in_pieces(name: str) -> None:
    """Where the end itself is in two pieces, what follows it is taken along, up to the end of its own head."""
    body = BODIES[name]
    for seed in range(50):
        chance = random.Random(seed)
        cuts = sorted({0, *(chance.randrange(len(body) - 4) for _ in range(chance.randrange(4)))}) if len(body) > 5 else [0]
        chunks, pieces = Chunks(), [body[start:end] for start, end in zip(cuts, [*cuts[1:], len(body)], strict=True)]
        for piece in pieces[:-1]:
            assert chunks.end_in(piece, 0) == len(piece)
        assert chunks.end_in(pieces[-1] + NEXT, 0) in (len(pieces[-1]), len(pieces[-1]) + len(NEXT))


def test_what_is_no_framing_is_left_to_the_parser() -> None:
    for wrong in (b"zz\r\n", b"-3\r\nabc", b"\r\n\r\n", b";\r\n", b"5_\r\nhello", b"f" * 5000):
        assert Chunks().end_in(wrong, 0) == len(wrong)
