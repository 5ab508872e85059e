"""The hosts that post3 serves, given that it reads every request as path-style.

A virtual-hosted request (`Host: bucket.s3.example.com`, `PUT /name`) read as path-style means something else: it
creates or deletes the bucket `name`. So a Host that may contain a bucket's name is refused before anything else is done
(B160, D78). post3 serves IP addresses, names with a single label, localhost, and the names in the settings.
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

#: The host and port in a Host header (RFC 9110, 7.2). Names may contain underscores, as those of containers do.
HOST = re.compile(r"(?:\[([0-9a-fA-F:.%]+)\]|([A-Za-z0-9_.-]+))(?::([0-9]*))?", re.ASCII)
LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
LOCALHOST = {"localhost", "localhost.localdomain"}
#: The maximum length of a Host header, which also limits what the cache keeps.
MAX_LENGTH = 270


def refuse_other_hosts(request: S3Request) -> None:
    """Raise InvalidRequest unless the Host header, and any host that replaces it, is present and served."""
    sent = request.header("host")
    if not (request.forwarded_host or request.target_host) and len(sent) <= MAX_LENGTH and is_served(sent):
        return  # the common case
    for host in (sent, *filter(None, (request.forwarded_host, request.target_host))):
        if len(host) > MAX_LENGTH or not is_served(host):
            shown = ascii(host[:MAX_LENGTH])
            raise InvalidRequest(
                f"The host {shown} is not served, and virtual-hosted requests are not supported. Address buckets by path, at an "
                "IP address, at a host name without dots, or at a name that the setting POST3_ALLOWED_HOSTS holds."
            )


@lru_cache(maxsize=1024)
def is_served(host: str) -> bool:
    """Whether requests with this Host header are served. Cached, because every request checks, and clients use few."""
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
    """Return the host in POST3_PUBLIC_ORIGIN, or "" if there is none."""
    try:
        return (urlsplit(conf.PUBLIC_ORIGIN).hostname or "").removesuffix(".")
    except ValueError:  # contrib/checks.py reports an invalid origin
        return ""
