"""Finding the end of a chunked body without reading its chunks."""

import asyncio
import random
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from post3.server.fast_path import Protocol
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
    """If the end is split between two pieces, the next request is included up to the end of its head."""
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


class Wire(asyncio.Transport):
    """A transport that drops written data, and records whether reading is paused."""

    is_paused = False

    def write(self, data: Any) -> None: ...

    def pause_reading(self) -> None:
        self.is_paused = True

    def resume_reading(self) -> None:
        self.is_paused = False

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"sockname": ("127.0.0.1", 9000), "peername": ("127.0.0.1", 5)}.get(name, default)


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_ends_cut_in_two_queue_two_requests_at_most(cut: int) -> None:
    """Each read completes a request and contains the next head, while the first request is still in progress."""
    request = b"PUT /b/k HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + framed([])
    queued: list[int] = []

    async def main() -> None:
        is_over = asyncio.Event()

        async def receive_all(receive: Any) -> None:
            while (await receive())["type"] != "http.disconnect":
                pass

        async def application(scope: Any, receive: Any, send: Any) -> None:
            receiving = asyncio.create_task(receive_all(receive))
            await is_over.wait()
            receiving.cancel()
            await send({"type": "http.response.start", "status": 204})
            await send({"type": "http.response.body"})

        config = uvicorn.Config(application, http=Protocol, ws="none", log_config=None)
        config.load()
        protocol, wire = Protocol(config, ServerState(), {}), Wire()
        protocol.connection_made(wire)
        reads = request * 100
        first, rest = reads[: len(request) - cut], reads[len(request) - cut :]
        for data in (first, *(rest[start : start + len(request)] for start in range(0, len(rest), len(request)))):
            await asyncio.sleep(0.001)  # lets the application receive
            if wire.is_paused:
                break
            protocol.data_received(data)
            queued.append(len(protocol.pipeline))
        is_over.set()
        await asyncio.gather(*protocol.tasks)

    asyncio.run(main())
    assert max(queued) == 2
    assert len(queued) < 10, "the server goes on reading"
