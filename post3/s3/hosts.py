"""Which Host a request may be sent to, as long as every request is read as path-style.

A virtual-hosted request (`Host: bucket.s3.example.com`, `PUT /name`) read as path-style is another request: it makes or deletes
the bucket `name`. So a Host that may hold a bucket's name is refused before anything is done (B160, D78). Served are addresses,
names of a single label, localhost, and the names that the settings tell.
"""

import re
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import validate_host

from ..conf import conf
from ..errors import InvalidRequest
from .request import S3Request

#: Host and port of a Host header (RFC 9110, 7.2); a name may hold underscores, as those of containers do.
HOST = re.compile(r"(?:\[([0-9a-fA-F:.%]+)\]|([A-Za-z0-9_.-]+))(?::([0-9]*))?", re.ASCII)
LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
LOCALHOST = {"localhost", "localhost.localdomain"}
#: No name is longer, and no longer text is kept in the cache.
MAX_LENGTH = 270


def refuse_other_hosts(request: S3Request) -> None:
    """Raise InvalidRequest where the Host header, or a host that stands for it, is missing or not one of those served."""
    sent = request.header("host")
    if not (request.forwarded_host or request.target_host) and len(sent) <= MAX_LENGTH and is_served(sent):
        return  # as nearly always
    for host in (sent, *filter(None, (request.forwarded_host, request.target_host))):
        if len(host) > MAX_LENGTH or not is_served(host):
            shown = ascii(host[:MAX_LENGTH])
            raise InvalidRequest(
                f"The host {shown} is not served, and virtual-hosted requests are not supported. Address buckets by path, at an "
                "IP address, at a host name without dots, or at a name that the setting POST3_ALLOWED_HOSTS holds."
            )


@lru_cache(maxsize=1024)
def is_served(host: str) -> bool:
    """Whether requests may be sent to this value of a Host header. Cached: every request asks, and clients use few."""
    match = HOST.fullmatch(host)
    if match is None or int(match[3] or 0) > 65535:
        return False
    if match[1]:
        return _is_address(IPv6Address, match[1])
    name = match[2].lower().removesuffix(".")
    if "." not in name:
        return LABEL.fullmatch(name) is not None
    if not all(LABEL.fullmatch(label) for label in name.split(".")):
        return False
    if name in LOCALHOST or _is_address(IPv4Address, name) or name == _public_host():
        return True
    return validate_host(name, settings.ALLOWED_HOSTS)


def _is_address(kind: type[IPv4Address] | type[IPv6Address], text: str) -> bool:
    try:
        kind(text)
    except AddressValueError:
        return False
    return True


def _public_host() -> str:
    """Return the host of POST3_PUBLIC_ORIGIN; "" where there is none."""
    try:
        return (urlsplit(conf.PUBLIC_ORIGIN).hostname or "").removesuffix(".")
    except ValueError:  # a wrong one is reported by contrib/checks.py
        return ""
