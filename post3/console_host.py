"""POST3_CONSOLE_HOST as it is written: a host name, an address and a port, or a host name and a port."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

_NAME = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?:\.(?!-)[a-z0-9_-]{1,63})*", re.ASCII)
_WILDCARDS = {"0.0.0.0", "::"}


@dataclass(frozen=True, slots=True)
class ConsoleHost:
    """The console's place: `host`, `host:port`, or an address and a port."""

    #: As in a URL, but without an IPv6 address's brackets.
    host: str
    #: The port that the servers listen on for the console; None: they do not.
    port: int | None
    #: The host name that is the console's alone; empty: S3 may be reached by the same one.
    name: str

    def holds(self, port: Any, host: str) -> bool:
        """Return whether a request that arrived on this port, with this Host header, is the console's."""
        if self.port is not None and str(port) == str(self.port):
            return True
        return bool(self.name) and split_host(host)[0] == self.name

    def holds_scope(self, scope: Mapping[str, Any]) -> bool:
        """Return whether the request of an ASGI scope is the console's."""
        server = scope.get("server")
        if self.port is not None and server is not None and server[1] == self.port:
            return True
        if not self.name:
            return False
        # What a trusted proxy says of the host (`web/proxies.py`) goes before the header.
        host = scope.get("post3.host") or next((value for name, value in scope["headers"] if name == b"host"), b"").decode(
            "latin-1"
        )
        return split_host(host)[0] == self.name

    def listening_address(self, s3_host: str) -> tuple[str, int] | None:
        """Return where to listen for the console; for a name, that is on the address of S3."""
        if self.port is None:
            return None
        return (self.host if is_address(self.host) else s3_host), self.port

    def authority(self, secure: bool, s3_authority: str) -> str:
        """Return host and port of the console's URL, for a browser that reached S3 at `s3_authority`."""
        if self.port is None:
            s3_port = split_host(s3_authority)[1]
            return in_url(self.name) + (f":{s3_port}" if s3_port else "")
        if self.name and secure:
            return self.name  # TLS ends at a proxy, which has a port of its own
        host = split_host(s3_authority)[0] or "127.0.0.1" if self.host in _WILDCARDS else self.host
        return f"{in_url(host)}:{self.port}"


def parse_console_host(text: str, s3_hosts: Collection[str] = ()) -> ConsoleHost:
    """Read POST3_CONSOLE_HOST. A name of `s3_hosts` is not the console's alone. Raises ValueError."""
    text = text.strip().lower()
    parts = urlsplit(f"//{text}")
    host, port = parts.hostname or "", parts.port
    if parts.netloc != text or "@" in text or port == 0 or text.endswith(":"):
        raise ValueError("neither host nor host:port")
    if ":" not in host and not (_NAME.fullmatch(host) and (is_address(host) or not host.rpartition(".")[2].isdigit())):
        raise ValueError("not a host name")
    if is_address(host) and port is not None:
        return ConsoleHost(host, port, "")
    return ConsoleHost(host, port, "" if port is not None and host in s3_hosts else host)


def is_address(host: str) -> bool:
    """Return whether this is an address, or a name of this machine only."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def split_host(host: str) -> tuple[str, str]:
    """Split a Host header into the name, in lower case and without brackets, and the port; both empty where it is neither."""
    found = re.fullmatch(r"\[([0-9a-f:.]+)\](?::(\d+))?|([a-z0-9._-]+?)\.?(?::(\d+))?", host.lower(), re.ASCII)
    return (found[1] or found[3], found[2] or found[4] or "") if found else ("", "")


def in_url(host: str) -> str:
    """Return a host as URLs write it."""
    return f"[{host}]" if ":" in host else host


def is_console_host(text: str) -> bool:
    """Return whether this is what POST3_CONSOLE_HOST can be."""
    try:
        parse_console_host(text)
    except ValueError:
        return False
    return True
