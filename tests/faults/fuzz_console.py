"""Fuzz a running server's console with nearly valid queries, forms and bodies, with and without a login.

The pages are found by following the console's own links. Every request must get a response, but no server
error. Requests that change the store are executed: it contains only buckets and keys that this module created.
"""

import html
import re
import socket
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote, quote_from_bytes, urljoin, urlsplit

from tests.raw import RawClient, RawResponse, read_response
from tests.servers import Server

from .fuzz_http import Sender, Wire
from .mutations import Mutator

#: Few, because the server handles a limited number of console requests at a time and refuses more with 503.
THREADS, PREPARE_EVERY = 2, 500
#: The maximum number of pages to look for.
PAGES = 200
#: Parameter names of Django's admin and of the console's lists, and lookups that reach further than allowed.
NAMES = (
    b"p o q all e _facets _popup _to_field _changelist_filters next key__startswith key__regex bucket__id__exact "
    b"is_latest__exact user__password__startswith owner__id__exact object__id__exact upload__id__exact id__in pk field_name "
    b"app_label model_name "
    b"term prefix after before page csrfmiddlewaretoken action index select_across _selected_action _save"
).split()
#: Positions in a list (`?p=`): base64-encoded JSON, deeply nested, with too long numbers or wrong types.
POSITIONS = (
    b"[]",
    b"[[",
    b"[false]",
    b"[true, null]",
    b'[false, {"a": 1}]',
    b"[" * 3000 + b"]" * 3000,
    b"[false, " + b"9" * 5000 + b"]",
)
LOGIN = """
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY, get_user_model
from django.contrib.sessions.backends.db import SessionStore
users = get_user_model().objects
user = users.filter(username="fuzz").first() or users.create_superuser("fuzz")
session = SessionStore()
session[SESSION_KEY], session[HASH_SESSION_KEY] = str(user.pk), user.get_session_auth_hash()
session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[0]
session.save()
print(f"{settings.SESSION_COOKIE_NAME}={session.session_key}")
"""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the console: its path, its query as pairs, and the fields of its form, if any."""

    path: str
    query: tuple[tuple[bytes, bytes], ...] = ()
    fields: tuple[tuple[bytes, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Address:
    """The address of the console."""

    host: str
    port: int


class ConsoleFuzzer(Sender):
    """Sends requests to the console."""

    title = "console"

    def __init__(self, server: Server, seed: str) -> None:
        super().__init__(Address(server.host, server.console_port), seed)
        self.server, self.cookies = server, ""
        self.pages: list[Page] = []

    def run(self, start: int, count: int) -> None:
        for first in range(start, start + count, PREPARE_EVERY):
            self._prepare()
            self.send(first, min(first + PREPARE_EVERY, start + count), THREADS)

    def _prepare(self) -> None:
        """Log in without the form, which limits guesses.

        Find the pages again, because their tokens belong to the session.
        """
        client = RawClient(self.server.host, self.server.port, self.server.access_key, self.server.secret_key)
        client.send("PUT", "/fuzz")
        client.send("PUT", "/fuzz/%E2%80%AEodd%1B", headers=[("x-amz-meta-a", "b")], body=b"x")
        client.send("POST", "/fuzz/upload", "uploads=")
        self.cookies = self.server.manage("shell", "-v", "0", "-c", LOGIN).strip().splitlines()[-1]
        self.pages = list(self._crawl())
        assert len(self.pages) > 5, f"too few pages of the console were found: {self.pages}"

    def _crawl(self) -> Iterator[Page]:
        seen, waiting = {"/_/admin/"}, ["/_/admin/"]
        while waiting and len(seen) < PAGES:
            address = waiting.pop(0)
            answer = self._get(address)
            text = answer.body.decode(errors="replace")
            parts = urlsplit(address)
            fields = re.findall(r'<(?:input|select|textarea)[^>]* name="([^"]+)"(?:[^>]* value="([^"]*)")?', text)
            yield Page(
                parts.path,
                tuple(
                    (name.encode(), value.encode())
                    for name, _, value in (pair.partition("=") for pair in parts.query.split("&"))
                    if name
                ),
                tuple((html.unescape(name).encode(), html.unescape(value).encode()) for name, value in fields),
            )
            for link in re.findall(r'(?:href|action)="([^"]+)"', text):
                found = urlsplit(urljoin(address, html.unescape(link)))
                target = f"{found.path}?{found.query}" if found.query else found.path
                if not found.netloc and found.path.startswith("/_/admin/") and "logout" not in target and target not in seen:
                    seen.add(target)
                    waiting.append(target)

    def _get(self, address: str) -> RawResponse:
        """Read a page, and keep the cookies in the response."""
        with socket.create_connection((self.place.host, self.place.port), timeout=30) as connection:
            connection.sendall(
                f"GET {address} HTTP/1.1\r\nHost: {self.place.host}:{self.place.port}\r\nCookie: {self.cookies}\r\n\r\n".encode()
            )
            answer = read_response(connection)
        cookie = answer.headers.get("set-cookie", "").partition(";")[0]
        if cookie and cookie.partition("=")[0] not in self.cookies:
            self.cookies += f"; {cookie}"
        return answer

    def make(self, number: int) -> Wire:
        """Return the request of input `number`. The pages' URLs and tokens depend on the server."""
        mutator = Mutator(f"console/{self.seed}/{number}")
        page = mutator.one_of(self.pages)
        path = quote(mutator.bend(page.path.encode()), safe="/%") if mutator.happens(0.1) else page.path
        query = list(page.query)
        for _ in range(mutator.one_of((0, 1, 1, 2))):
            query.append((mutator.one_of(NAMES), _value(mutator)))
        if query and mutator.happens(0.5):
            place = mutator.random.randrange(len(query))
            query[place] = (query[place][0], mutator.bend(query[place][1]))
        target = "&".join(f"{quote_from_bytes(name, safe='')}={quote_from_bytes(value, safe='')}" for name, value in query)
        method, body, kind = ("GET", b"", b"") if mutator.happens(0.5) else ("POST", *_form(page, mutator))
        lines = [f"{method} {path}{'?' if target else ''}{target} HTTP/1.1".encode("latin-1", "replace")]
        lines.append(f"Host: {self.place.host}:{self.place.port}".encode())
        if mutator.happens(0.8):
            lines.append(b"Cookie: " + (mutator.bend(self.cookies.encode()) if mutator.happens(0.1) else self.cookies.encode()))
        if method == "POST":
            lines += [b"Content-Type: " + kind, b"Content-Length: %d" % len(body)]
        lines = [line.translate(None, b"\r\n\0") for line in lines]
        data = b"\r\n".join([*lines, b"", b""]) + body
        if mutator.happens(0.1):
            return Wire(data[: mutator.random.randint(0, len(data))], method, False)
        return Wire(data, method, len(lines[0]) < 8000)


def _value(mutator: Mutator) -> bytes:
    if mutator.happens(0.3):
        return urlsafe_b64encode(mutator.one_of(POSITIONS)).rstrip(b"=")
    return mutator.one_of((b"", b"1", b"999999999999999999999", b"9" * 5000, mutator.spice()))


def _form(page: Page, mutator: Mutator) -> tuple[bytes, bytes]:
    """Return a page's form as (body, content type), with some fields or the framing altered."""
    fields = [(name, value if mutator.happens(0.8) else mutator.bend(value)) for name, value in page.fields]
    for _ in range(mutator.one_of((0, 0, 1, 3))):
        fields.append((mutator.one_of(NAMES), _value(mutator)))
    if mutator.happens(0.05):
        fields += [(b"a%d" % number, b"b") for number in range(2000)]
    if mutator.happens(0.5):
        body = b"&".join(
            quote_from_bytes(name, safe="").encode() + b"=" + quote_from_bytes(value, safe="").encode() for name, value in fields
        )
        kind = b"application/x-www-form-urlencoded"
    else:
        files = [b'; filename="f"' if mutator.happens(0.2) else b"" for _ in fields]
        parts = [
            b'--edge\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n' % (name, file, value)
            for (name, value), file in zip(fields, files, strict=True)
        ]
        body, kind = b"".join(parts) + b"--edge--\r\n", b"multipart/form-data; boundary=edge"
    if mutator.happens(0.3):
        body = mutator.bend(body)
    if mutator.happens(0.2):
        kind = mutator.bend(kind)
    return body, kind
