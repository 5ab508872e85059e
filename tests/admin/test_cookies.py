"""The console's cookies: names, attributes, and the effect of planted cookies. Runs on both databases."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.models import Session
from django.test import override_settings

from post3.models import ApiKey
from post3.web.origins import CONSOLE_URLCONF, console_host

from .console import ConsoleClient

PASSWORD = "only for tests, and long"
KNOWN = "a" * 32
ADD = "/_/admin/post3/apikey/add/"


@pytest.fixture
def users(catalogue: Any) -> Iterator[dict[str, Any]]:
    """Create two administrators; one attacks the other."""
    hashers = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # fast
    with override_settings(ROOT_URLCONF=CONSOLE_URLCONF, PASSWORD_HASHERS=hashers):
        make = get_user_model().objects.create_superuser
        yield {name: make(name, password=PASSWORD) for name in ("admin", "mallory")}


class Browser:
    """A browser with its cookies as sent on the wire, including planted ones.

    Django's test client knows cookies only by name.
    """

    def __init__(self, secure: bool) -> None:
        self._client = ConsoleClient(enforce_csrf_checks=True)
        self._secure = secure
        self.jar: dict[str, str] = {}
        self.set: dict[str, Any] = {}

    def ask(self, method: str, path: str, form: dict[str, Any] | None = None, planted: str = "", last: bool = False) -> Any:
        """Send a request with `planted` before the browser's own cookies, or after them with `last`."""
        own = [f"{name}={value}" for name, value in self.jar.items()]
        sent = [*own, planted] if last else [planted, *own]
        header = "; ".join(part for part in sent if part)
        headers = {"HTTP_COOKIE": header} if header else {}
        if self._secure:
            headers["HTTP_REFERER"] = f"https://localhost:{console_host().port}/"
        self._client.cookies.clear()
        response = getattr(self._client, method)(path, form or {}, secure=self._secure, **headers)
        self.set = dict(response.cookies)
        for name, morsel in response.cookies.items():
            self.jar[name] = morsel.value
            if morsel["max-age"] == 0:
                del self.jar[name]
        return response

    def log_in(self, name: str, planted: str = "") -> Any:
        page = self.ask("get", "/_/admin/login/", planted=planted)
        return self.ask("post", "/_/admin/login/", {**token_of(page), "username": name, "password": PASSWORD}, planted)

    def is_logged_in(self, planted: str = "", last: bool = False) -> bool:
        return self.ask("get", "/_/admin/", planted=planted, last=last).status_code == 200


def token_of(page: Any) -> dict[str, str]:
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.content.decode())
    return {"csrfmiddlewaretoken": found[1] if found else ""}


@pytest.fixture(params=[False, True], ids=["http", "https"])
def browser(request: pytest.FixtureRequest, users: dict[str, Any]) -> Browser:
    return Browser(request.param)


@pytest.fixture
def session(browser: Browser) -> str:
    """Return the name of the session cookie on the wire."""
    return "__Host-post3_session" if browser._secure else "post3_session"


@pytest.fixture
def csrf(browser: Browser) -> str:
    """Return the name of the login form's cookie on the wire."""
    return "__Host-post3_csrf" if browser._secure else "post3_csrf"


def test_cookies_are_limited_to_this_host_under_tls(browser: Browser, session: str, csrf: str) -> None:
    browser.ask("get", "/_/admin/login/")
    assert browser.set.keys() == {csrf}
    cookies = dict(browser.set)
    assert browser.log_in("admin").status_code == 302
    assert browser.set.keys() == {session}
    for morsel in (cookies | browser.set).values():
        assert (morsel["path"], morsel["domain"], bool(morsel["secure"])) == ("/", "", browser._secure)
        assert morsel["httponly"] and morsel["samesite"] == "Lax"
    assert browser.is_logged_in()


def test_a_key_is_created_by_a_form_of_the_session(browser: Browser, users: dict[str, Any]) -> None:
    browser.log_in("admin")
    page = browser.ask("get", ADD)
    made = browser.ask("post", ADD, {**token_of(page), "user": users["admin"].pk, "name": "mine"})
    assert made.status_code == 200 and "AWS_SECRET_ACCESS_KEY=" in made.content.decode()
    assert ApiKey.objects.count() == 1


def test_a_session_is_not_valid_under_the_other_scheme(users: dict[str, Any]) -> None:
    """Cookies that a page without TLS plants or reads on the same host do not count under TLS."""
    plain, secure = Browser(False), Browser(True)
    plain.log_in("mallory")
    secure.log_in("admin")
    planted = f"post3_session={plain.jar['post3_session']}"
    assert secure.is_logged_in(planted) and secure.is_logged_in(planted, last=True)
    assert "admin" in secure.ask("get", "/_/admin/", planted=planted).content.decode()
    secure.jar.clear()
    assert not secure.is_logged_in(planted)


@pytest.mark.parametrize("last", [False, True], ids=["before", "after"])
def test_a_planted_csrf_cookie_has_no_effect(browser: Browser, csrf: str, users: dict[str, Any], last: bool) -> None:
    browser.log_in("admin")
    browser.ask("get", ADD)
    form = {"csrfmiddlewaretoken": KNOWN, "user": users["admin"].pk, "name": "stolen"}
    for name in {csrf, "post3_csrf", "csrftoken", "__Host-post3_csrf"}:
        assert browser.ask("post", ADD, form, planted=f"{name}={KNOWN}", last=last).status_code == 403
    del browser.jar[csrf]  # only the planted cookie is left
    assert browser.ask("post", ADD, form, planted=f"{csrf}={KNOWN}").status_code == 403
    assert not ApiKey.objects.exists()


@pytest.mark.parametrize("last", [False, True], ids=["before", "after"])
def test_a_planted_session_never_replaces_the_users_own(browser: Browser, session: str, last: bool) -> None:
    attacker = Browser(browser._secure)
    attacker.log_in("mallory")
    browser.log_in("admin")
    planted = f"{session}={attacker.jar[session]}"
    answer = browser.ask("get", "/_/admin/", planted=planted, last=last)
    assert answer.status_code == 302 and "/login/" in answer["Location"]
    assert not browser.set, "the browser lost its own session"
    assert browser.is_logged_in() and attacker.is_logged_in()


def test_login_replaces_a_planted_session(browser: Browser, session: str) -> None:
    begun = SessionStore()
    begun["mine"] = "mallory's"
    begun.save()
    attacker = Browser(browser._secure)
    for planted in (begun.session_key, "x" * 32):
        browser.jar = {session: planted}
        assert browser.log_in("admin").status_code == 302
        assert browser.jar[session] != planted and browser.is_logged_in()
        attacker.jar = {session: planted}
        assert not attacker.is_logged_in()


def test_a_form_from_another_origin_is_refused(browser: Browser, users: dict[str, Any]) -> None:
    """Check that even the right token does not help, nor on the login form (logging a user in as the attacker)."""
    page = browser.ask("get", "/_/admin/login/")
    form = {**token_of(page), "username": "mallory", "password": PASSWORD}
    browser._client.defaults["HTTP_ORIGIN"] = "http://localhost:9000"
    assert browser.ask("post", "/_/admin/login/", form).status_code == 403
    browser._client.defaults["HTTP_ORIGIN"] = "null"  # as from a sandboxed frame
    assert browser.ask("post", "/_/admin/login/", form).status_code == 403


def test_anonymous_requests_create_no_sessions(browser: Browser) -> None:
    before = Session.objects.count()
    for _ in range(5):
        browser.jar.clear()
        browser.ask("get", "/_/admin/login/")
        browser.ask("get", "/_/admin/")
    assert Session.objects.count() == before


def test_logging_out_ends_the_session(browser: Browser, session: str) -> None:
    browser.log_in("admin")
    page, kept = browser.ask("get", "/_/admin/"), browser.jar[session]
    assert browser.ask("post", "/_/admin/logout/", token_of(page)).status_code == 200
    assert session not in browser.jar
    browser.jar[session] = kept
    assert not browser.is_logged_in()
