"""Limits on password guesses at the console's login, for every form and any number of addresses."""

import http.client
import re
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from urllib.parse import urlencode

import pytest

from ..helpers import query
from ..servers import Server
from .test_console import MAKE_ADMIN, PASSWORD

LOGIN = "/_/admin/login/"
QUICK = {"DJANGO_SETTINGS_MODULE": "tests.quick_passwords"}


@dataclass
class Visitor:
    """A client with its own address, one of those that lead to this machine."""

    server: Server
    address: str = "127.0.0.1"

    def log_in(self, name: str, password: str, path: str = LOGIN) -> tuple[int, http.client.HTTPMessage, str]:
        """Submit the login form. Return the response's status, headers and page."""
        place, own = (self.server.host, self.server.console_port), (self.address, 0)
        with closing(http.client.HTTPConnection(*place, 60, source_address=own)) as connection:
            connection.request("GET", LOGIN)
            answer = connection.getresponse()
            token = re.search(r'csrfmiddlewaretoken" value="(\w+)"', answer.read().decode())
            cookie = (answer.headers["Set-Cookie"] or "").split(";")[0]
            assert token
            fields = {"csrfmiddlewaretoken": token[1], "username": name, "password": password, "next": "/_/admin/"}
            headers = {"Cookie": cookie, "Content-Type": "application/x-www-form-urlencoded"}
            connection.request("POST", path, urlencode(fields), headers)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read().decode()

    def guess(self, name: str, count: int = 1) -> list[int]:
        """Submit `count` wrong passwords. Return the statuses."""
        return [self.log_in(name, f"wrong {number}")[0] for number in range(count)]


@pytest.fixture(scope="module", params=["sqlite-files", "postgresql-blocks"])
def careful(request: pytest.FixtureRequest, make_server: Callable[..., Server]) -> Server:
    """Start a server that allows a burst of two guesses."""
    server = make_server(request.param, environment={**QUICK, "POST3_LOGIN_GUESSES": "2"})
    server.manage("shell", "-v", "0", "-c", MAKE_ADMIN)
    return server


@pytest.fixture
def console(careful: Server) -> Server:
    """Return that server with no remembered guesses."""
    query(careful, "DELETE FROM post3_loginallowance RETURNING digest")
    return careful


@pytest.mark.parametrize("name", ["console", "nobody", "Console\u202e", "x" * 150])
def test_login_refuses_further_guesses_of_one_name_from_one_address(console: Server, name: str) -> None:
    visitor = Visitor(console, "127.0.0.9")
    assert visitor.guess(name, 4) == [200] * 2 + [429] * 2
    status, headers, page = visitor.log_in(name, PASSWORD)
    assert status == 429
    assert 1 <= int(headers["Retry-After"]) <= 60
    assert "Too many wrong passwords" in page and "Try again in" in page
    # Other names are unaffected, even if no such user exists.
    assert visitor.guess("somebody else") == [200]


def test_login_counts_simultaneous_guesses_like_sequential_ones(console: Server) -> None:
    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda _: Visitor(console, "127.0.0.9").guess("console")[0], range(16)))
    assert statuses.count(200) == 2 and statuses.count(429) == 14, statuses


def test_login_refuses_further_guesses_of_any_names_from_one_address(console: Server) -> None:
    visitor = Visitor(console, "127.0.0.9")
    statuses = [status for number in range(11) for status in visitor.guess(f"name{number}")]
    assert statuses[:8] == [200] * 8 and 429 in statuses[8:], statuses
    assert visitor.log_in("console", PASSWORD)[0] == 429
    assert Visitor(console, "127.0.0.10").log_in("console", PASSWORD)[0] == 302


def test_login_refuses_further_guesses_of_one_name_from_many_addresses(console: Server) -> None:
    home, stranger = Visitor(console, "127.0.0.5"), Visitor(console, "127.0.0.6")
    assert home.log_in("console", PASSWORD)[0] == 302
    guessed = [status for number in range(20, 28) for status in Visitor(console, f"127.0.0.{number}").guess("console", 2)]
    assert guessed[:12] == [200] * 12 and 429 in guessed[12:], guessed
    assert stranger.log_in("console", PASSWORD)[0] == 429
    assert home.log_in("console", PASSWORD)[0] == 302, "an attacker who knows an administrator's name can lock them out"


def test_login_forgets_guesses_after_a_correct_password(console: Server) -> None:
    visitor = Visitor(console, "127.0.0.9")
    for _ in range(4):
        assert visitor.guess("console", 1) == [200]
        assert visitor.log_in("console", PASSWORD)[0] == 302
    assert visitor.guess("console", 1) == [200]


@pytest.mark.parametrize("path", [LOGIN, f"{LOGIN}?next=/_/admin/post3/bucket/", f"{LOGIN}?{'x' * 100}"])
def test_login_limit_holds_for_every_address_of_the_form(console: Server, path: str) -> None:
    visitor = Visitor(console, "127.0.0.9")
    assert [visitor.log_in("console", "wrong", path)[0] for _ in range(3)] == [200] * 2 + [429]


def test_login_form_sent_to_another_page_tries_no_password(console: Server) -> None:
    visitor = Visitor(console, "127.0.0.9")
    for page in ("/_/admin/", "/_/admin/post3/bucket/", "/_/admin/auth/user/", "/_/admin/password_change/"):
        status, headers, _ = visitor.log_in("console", PASSWORD, page)
        assert status in (302, 403) and "sessionid" not in str(headers), page
    assert query(console, "SELECT count(*) FROM post3_loginallowance") == [(0,)]


def test_worker_removes_expired_guesses(console: Server) -> None:
    Visitor(console, "127.0.0.9").guess("console", 2)
    assert query(console, "SELECT count(*) FROM post3_loginallowance") == [(3,)]
    console.manage("run_worker", "--once")
    assert query(console, "SELECT count(*) FROM post3_loginallowance") == [(3,)]
    query(console, "UPDATE post3_loginallowance SET until = '2020-01-01 00:00:00' RETURNING digest")
    console.manage("run_worker", "--once")
    assert query(console, "SELECT count(*) FROM post3_loginallowance") == [(0,)]


def test_login_keeps_neither_names_nor_addresses(console: Server) -> None:
    name = f"name-{uuid.uuid4().hex}"
    Visitor(console, "127.0.0.9").guess(name)
    rows = str(query(console, "SELECT digest FROM post3_loginallowance"))
    assert name not in rows and "127.0.0.9" not in rows


def test_login_limit_can_be_changed_and_disabled(make_server: Callable[..., Server]) -> None:
    for environment, expected in (({}, [200] * 5 + [429]), ({"POST3_LOGIN_GUESSES": "0"}, [200] * 8)):
        server = make_server("sqlite-files", environment={**QUICK, **environment})
        assert Visitor(server).guess("console", len(expected)) == expected


def test_login_limit_is_shared_by_all_processes(make_server: Callable[..., Server]) -> None:
    environment = {"WEB_CONCURRENCY": "3", "GUNICORN_CMD_ARGS": "--workers 3"}
    server = make_server("postgresql-blocks", runner="gunicorn-asgi", environment=environment)
    with ThreadPoolExecutor(12) as pool:
        statuses = list(pool.map(lambda _: Visitor(server, "127.0.0.9").guess("console")[0], range(12)))
    assert statuses.count(200) == 5 and statuses.count(429) == 7, statuses
