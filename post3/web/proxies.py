"""Forwarding headers, trusted only from the proxies in POST3_TRUSTED_PROXIES: client address, scheme and host.

post3's handlers call these functions for each request before reading anything else. Afterwards, `client` and `scheme`
in the scope (`REMOTE_ADDR` and `wsgi.url_scheme` in the environment) are the client's. S3, the console, the request log
and every limit by address use them. The servers' own handling of these headers is undone, so that one setting decides
(D79).

Only X-Forwarded-For, X-Forwarded-Proto and X-Forwarded-Host count. A proxy that writes these passes on Forwarded,
X-Real-IP and all other headers as its client sent them.
"""

import ssl
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

from django.http import HttpRequest

from ..conf import conf

Address = IPv4Address | IPv6Address
Headers = Iterable[tuple[bytes, bytes]]

FOR, PROTO, HOST = b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host"
COUNTED = frozenset((FOR, PROTO, HOST))
#: The entry among the networks that stands for peers without an address.
UNIX = "unix"
#: Prefixes of header names that indicate a proxy, whether the header is genuine or forged.
TRACES = (
    "x-forwarded",
    "forwarded",
    "via",
    "x-real-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "true-client-ip",
    "cf-connecting-ip",
)
#: The maximum length of an address that is parsed. It also limits what the caches keep.
MAX_ADDRESS = 64


@dataclass(frozen=True, slots=True)
class Client:
    """The client that sent a request, as far as it is known."""

    #: "" if the peer is a Unix socket and no proxy named a client.
    address: str
    scheme: str
    #: None if the Host header applies.
    host: str | None = None


@lru_cache(maxsize=8)
def parse_networks(names: tuple[str, ...]) -> frozenset[IPv4Network | IPv6Network]:
    """Return the networks of POST3_TRUSTED_PROXIES."""
    return frozenset(ip_network(name) for name in names if name != UNIX)


@lru_cache(maxsize=1024)
def parse_address(text: str) -> Address | None:
    """Return the address of a peer or an X-Forwarded-For entry, without its port, or None if it cannot be parsed."""
    host, bracket, _ = text.removeprefix("[").partition("]")
    if not bracket and text.count(":") == 1:
        host = text.partition(":")[0]
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def is_loopback(peer: str) -> bool:
    """Whether a peer's address is a loopback address."""
    address = parse_address(peer)
    return address is not None and address.is_loopback


def was_forwarded(names: Iterable[str]) -> bool:
    """Whether any of a request's header names indicates that the request came through a proxy."""
    return any(name.lower().replace("_", "-").startswith(TRACES) for name in names)


def settle_scope(scope: dict[str, Any], receive: Any = None) -> None:
    """Replace a trusted proxy with the client in an ASGI scope. A second call changes nothing.

    `receive` is the server's. It leads to the connection's real peer, because uvicorn's own middleware may have changed
    the scope.
    """
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    for name, _ in headers:  # not `any`, which would cost every request twice as much
        if name in COUNTED:
            break
    else:
        return
    if "post3.host" in scope:
        return
    transport = getattr(getattr(receive, "__self__", None), "transport", None)
    if transport is not None:
        peername = transport.get_extra_info("peername")
        scope["client"] = peername[:2] if isinstance(peername, tuple) else None
        scope["scheme"] = "https" if transport.get_extra_info("sslcontext") else "http"
    told = [",".join(value.decode("latin-1") for name, value in headers if name == wanted) for wanted in (FOR, PROTO, HOST)]
    peer = (scope.get("client") or ("", 0))[0]
    client = find_client(peer, scope.get("scheme", "http"), *told)
    if client.address != peer:
        scope["client"] = (client.address, 0)
    scope["scheme"], scope["post3.host"] = client.scheme, client.host


def settle_request(request: HttpRequest) -> None:
    """Do the same to a Django request: to its WSGI environment, or to its ASGI scope and META."""
    scope = getattr(request, "scope", None)
    if scope is None:
        settle_environ(request.META)
        return
    settle_scope(scope)
    if scope.get("post3.host"):
        request.META["HTTP_HOST"] = scope["post3.host"]


def settle_environ(environ: dict[str, Any]) -> None:
    """Do the same to a WSGI environment. `post3.host_as_sent` keeps the Host header as sent, which signatures cover."""
    told = [environ.get(name, "") for name in ("HTTP_X_FORWARDED_FOR", "HTTP_X_FORWARDED_PROTO", "HTTP_X_FORWARDED_HOST")]
    if not any(told) or "post3.host_as_sent" in environ:
        return
    scheme, connection = environ.get("wsgi.url_scheme", "http"), environ.get("gunicorn.socket")
    if connection is not None:  # gunicorn has already interpreted the headers by its own settings
        scheme = "https" if isinstance(connection, ssl.SSLSocket) else "http"
    client = find_client(environ.get("REMOTE_ADDR", ""), scheme, *told)
    environ["REMOTE_ADDR"], environ["wsgi.url_scheme"] = client.address, client.scheme
    environ["post3.host_as_sent"] = environ.get("HTTP_HOST", "")
    if client.host is not None:
        environ["HTTP_HOST"] = client.host


def find_client(peer: str, scheme: str, forwarded_for: str, forwarded_proto: str, forwarded_host: str) -> Client:
    """Return the client of a request that `peer` sent over `scheme`. Repeated headers are joined by commas.

    Every proxy appends the address it saw. So the client is the rightmost address that does not belong to a trusted
    proxy, and the client may have forged everything to the left of it. The scheme and host are those written by the
    proxy that the client connected to, or the only ones in the headers.
    """
    if not is_trusted(peer):
        return Client(peer, scheme)
    address, hops = peer, 0
    entries = _entries(forwarded_for)
    for entry in reversed(entries):
        named = parse_address(entry) if len(entry) <= MAX_ADDRESS else None
        if named is None:
            break  # the proxy did not give a valid address
        address = str(named)
        if not is_trusted(address):
            break
        hops += 1
    hops = min(hops, len(entries) - 1) if entries else 0
    proto, host = _told(forwarded_proto, hops).lower(), _told(forwarded_host, hops)
    return Client(address, proto if proto in ("http", "https") else scheme, host or None)


def is_trusted(peer: str) -> bool:
    """Whether the forwarding headers of this peer count. "" stands for a peer on a Unix socket."""
    names: list[str] = conf.TRUSTED_PROXIES
    return bool(names) and len(peer) <= MAX_ADDRESS and _is_among(peer, tuple(names))


@lru_cache(maxsize=1024)
def _is_among(peer: str, names: tuple[str, ...]) -> bool:
    if not peer:
        return UNIX in names
    address = parse_address(peer)
    return address is not None and any(address in network for network in parse_networks(names))


def _entries(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


def _told(value: str, hops: int) -> str:
    """Return the entry `hops` places from the right, or the first one if there are fewer."""
    entries = _entries(value)
    return entries[max(0, len(entries) - 1 - hops)] if entries else ""
