"""Parsing of POST3_CONSOLE_HOST: a host name, an address and a port, or a host name and a port."""

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
    """The location of the console: a host name, a host name and a port, or an address and a port."""

    #: As in a URL, but without the brackets of an IPv6 address.
    host: str
    #: The port on which the servers listen for the console, or None if the console has no port.
    port: int | None
    #: The host name used only by the console. Empty if S3 may be reached by the same name.
    name: str

    def holds(self, port: Any, host: str) -> bool:
        """Return whether a request that arrived on this port with this Host header is for the console."""
        if self.port is not None and str(port) == str(self.port):
            return True
        return bool(self.name) and split_host(host)[0] == self.name

    def holds_scope(self, scope: Mapping[str, Any]) -> bool:
        """Return whether the request of an ASGI scope is for the console."""
        server = scope.get("server")
        if self.port is not None and server is not None and server[1] == self.port:
            return True
        if not self.name:
            return False
        # The host reported by a trusted proxy (`web/proxies.py`) takes precedence over the Host header.
        host = scope.get("post3.host") or next((value for name, value in scope["headers"] if name == b"host"), b"").decode(
            "latin-1"
        )
        return split_host(host)[0] == self.name

    def listening_address(self, s3_host: str) -> tuple[str, int] | None:
        """Return the address to listen on for the console, or None. A host name listens on the address of S3."""
        if self.port is None:
            return None
        return (self.host if is_address(self.host) else s3_host), self.port

    def authority(self, secure: bool, s3_authority: str) -> str:
        """Return the host and port of the console's URL, for a browser that reached S3 at `s3_authority`."""
        if self.port is None:
            s3_port = split_host(s3_authority)[1]
            return in_url(self.name) + (f":{s3_port}" if s3_port else "")
        if self.name and secure:
            return self.name  # TLS ends at a proxy, which listens on a different port
        host = split_host(s3_authority)[0] or "127.0.0.1" if self.host in _WILDCARDS else self.host
        return f"{in_url(host)}:{self.port}"


def parse_console_host(text: str, s3_hosts: Collection[str] = ()) -> ConsoleHost:
    """Parse POST3_CONSOLE_HOST. A name in `s3_hosts` is shared with S3. Raises ValueError."""
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
    """Return whether the host is an IP address or a localhost name."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def split_host(host: str) -> tuple[str, str]:
    """Split a Host header into the host, in lower case and without brackets, and the port.

    Both are empty if the header is not valid.
    """
    found = re.fullmatch(r"\[([0-9a-f:.]+)\](?::(\d+))?|([a-z0-9._-]+?)\.?(?::(\d+))?", host.lower(), re.ASCII)
    return (found[1] or found[3], found[2] or found[4] or "") if found else ("", "")


def in_url(host: str) -> str:
    """Return a host as written in URLs: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host


def is_console_host(text: str) -> bool:
    """Return whether the text is a valid POST3_CONSOLE_HOST."""
    try:
        parse_console_host(text)
    except ValueError:
        return False
    return True
