"""A post3.sdk client on a server of each kind. Its parts are so small that 12 MiB is a large object."""

from collections.abc import Iterator
from typing import Any

import pytest

from post3.sdk import Client, Transfers

from ..servers import Server

MIB = 1 << 20
SMALL = Transfers(threshold=6 * MIB, part_size=5 * MIB, concurrency=4, copy_threshold=6 * MIB, copy_part_size=5 * MIB)


def client_of(server: Server, **arguments: Any) -> Client:
    """Return a client with that server's address and key, unless the arguments say otherwise."""
    own = {"endpoint": server.url, "access_key": server.access_key, "secret_key": server.secret_key}
    return Client(**{**own, "transfers": SMALL, **arguments})


@pytest.fixture(scope="session")
def client(server: Server) -> Iterator[Client]:
    with client_of(server) as client:
        yield client
