"""The console's location: a separate origin (POST3_CONSOLE_HOST), or wherever a project mounts it.

An object can contain HTML from any user. On the console's origin, its scripts could do whatever a logged-in
administrator can. So the console has a separate port or host name, where S3 is not served. A different port separates
scripts but not cookies, so if both have the same host name, browsers are also instructed to sandbox each object
(`docs/security.md`).
"""

from functools import cache
from urllib.parse import urlsplit

from django.conf import settings
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse

from ..conf import conf
from ..console_host import ConsoleHost, is_address, parse_console_host
from .mount import find_mount

DEFAULT_ADDRESS = ("127.0.0.1", 9000)
#: The URLs of the console's own origin.
CONSOLE_URLCONF = "post3.admin.origin_urls"
CONSOLE_NAMESPACE = "post3_console"
CONSOLE_INDEX = f"{CONSOLE_NAMESPACE}:index"


@cache
def console_host() -> ConsoleHost | None:
    """Return the console's own address, or None if a project mounts the console or has no console. Read once."""
    return parse_console_host(conf.CONSOLE_HOST, _s3_hosts()) if conf.CONSOLE_HOST else None


def _s3_hosts() -> set[str]:
    return {s3_address()[0].lower(), urlsplit(conf.PUBLIC_ORIGIN).hostname or ""}


def s3_address() -> tuple[str, int]:
    """Return the host and port on which `serve` and gunicorn listen for S3."""
    return getattr(settings, "POST3_ADDRESS", DEFAULT_ADDRESS)


def came_to_console(request: HttpRequest) -> bool:
    """Return whether a Django request was sent to the console's own origin."""
    console = console_host()
    return console is not None and console.holds(request.META.get("SERVER_PORT"), request.META.get("HTTP_HOST", ""))


def choose_urlconf(request: HttpRequest) -> str:
    """Return the URLconf for a request. For the console's origin, also set it on the request, where Django finds it."""
    if not came_to_console(request):
        return settings.ROOT_URLCONF
    request.urlconf = CONSOLE_URLCONF  # type: ignore[attr-defined]  # Django looks for it, and its stubs do not declare it
    return CONSOLE_URLCONF


@cache
def objects_need_sandbox() -> bool:
    """Return whether objects share a host name with the console or with a project's other pages. Read once."""
    console = console_host()
    if console is None or not console.name or is_address(console.name):
        return True
    mount = find_mount()
    if mount is None or not mount.is_whole_site():
        return True  # the project has other pages
    try:
        reverse(CONSOLE_INDEX, urlconf=settings.ROOT_URLCONF)
    except NoReverseMatch:
        return False
    return True  # the console is also mounted beside S3


def console_url(secure: bool, s3_authority: str) -> str | None:
    """Return the console's URL for a browser that reached S3 at `s3_authority`, or None if there is no console."""
    console = console_host()
    try:
        path = reverse(CONSOLE_INDEX, urlconf=settings.ROOT_URLCONF if console is None else CONSOLE_URLCONF)
    except NoReverseMatch:
        return None
    return path if console is None else f"{'https' if secure else 'http'}://{console.authority(secure, s3_authority)}{path}"
