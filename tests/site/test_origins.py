"""POST3_CONSOLE_HOST: where to listen, which requests are for the console, and where browsers are redirected."""

import pytest
from django.contrib import admin
from django.test import override_settings
from django.urls import include, path

from post3.checks import check_console_host
from post3.console_host import ConsoleHost, parse_console_host, split_host
from post3.web.origins import console_host, objects_need_sandbox


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:9001", ConsoleHost("127.0.0.1", 9001, "")),
        ("0.0.0.0:9001", ConsoleHost("0.0.0.0", 9001, "")),
        ("[::1]:9001", ConsoleHost("::1", 9001, "")),
        ("localhost:9001", ConsoleHost("localhost", 9001, "")),
        ("console.example.com", ConsoleHost("console.example.com", None, "console.example.com")),
        ("Console.Example.com", ConsoleHost("console.example.com", None, "console.example.com")),
        ("console.example.com:9001", ConsoleHost("console.example.com", 9001, "console.example.com")),
        ("s3.example.com:9001", ConsoleHost("s3.example.com", 9001, "")),
    ],
)
def test_console_host_is_a_host_a_port_or_both(text: str, expected: ConsoleHost) -> None:
    assert parse_console_host(text, {"s3.example.com"}) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "9001",
        ":9001",
        "a:0",
        "a:99999",
        "a:b",
        "a:",
        "http://a",
        "a/b",
        "u@a:1",
        "[::1",
        "a b",
        "a_b..c",
        "-a",
        "1.2.3",
        "a,b",
    ],
)
def test_console_host_that_is_none_of_these_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_console_host(text)


@pytest.mark.parametrize(
    ("text", "listening"),
    [
        ("127.0.0.2:9001", ("127.0.0.2", 9001)),
        ("[::]:9001", ("::", 9001)),
        ("localhost:9001", ("localhost", 9001)),
        # A name may resolve to a proxy, so it says nothing about the addresses of this machine.
        ("console.example.com:9001", ("10.0.0.5", 9001)),
        ("console.example.com", None),
    ],
)
def test_console_listens_where_there_is_a_port(text: str, listening: tuple[str, int] | None) -> None:
    assert parse_console_host(text).listening_address("10.0.0.5") == listening


@pytest.mark.parametrize(
    ("text", "port", "host", "expected"),
    [
        ("127.0.0.1:9001", 9001, "127.0.0.1:9001", True),
        ("127.0.0.1:9001", 9001, "s3.example.com", True),
        ("127.0.0.1:9001", 9000, "127.0.0.1:9001", False),
        ("127.0.0.1:9001", 9000, "127.0.0.1:9000", False),
        ("127.0.0.1:9001", None, "", False),
        ("console.example.com", 9000, "console.example.com", True),
        ("console.example.com", 9000, "CONSOLE.example.com.:8443", True),
        ("console.example.com", 9000, "a.console.example.com", False),
        ("console.example.com", 9000, "example.com", False),
        ("console.example.com", 9000, "", False),
        ("console.example.com:9001", 9000, "console.example.com", True),
        ("console.example.com:9001", 9001, "10.0.0.5:9001", True),
        ("console.example.com:9001", 9000, "10.0.0.5:9000", False),
    ],
)
def test_a_request_is_the_consoles_by_its_port_or_its_host(text: str, port: int | None, host: str, expected: bool) -> None:
    console = parse_console_host(text)
    assert console.holds(port, host) is expected
    assert console.holds("" if port is None else str(port), host) is expected  # the port as WSGI gives it
    scope = {"server": None if port is None else ("10.0.0.5", port), "headers": [(b"host", host.encode())] if host else []}
    assert console.holds_scope(scope) is expected


@pytest.mark.parametrize(
    ("text", "secure", "asked", "expected"),
    [
        ("127.0.0.1:9001", False, "127.0.0.1:9000", "127.0.0.1:9001"),
        ("[::1]:9001", False, "[::1]:9000", "[::1]:9001"),
        ("0.0.0.0:9001", False, "store.lan:9000", "store.lan:9001"),
        ("0.0.0.0:9001", False, "10.0.0.5:9000", "10.0.0.5:9001"),
        ("[::]:9001", False, "[fd00::1]:9000", "[fd00::1]:9001"),
        ("0.0.0.0:9001", False, 'x"><b>', "127.0.0.1:9001"),
        ("console.example.com", True, "s3.example.com", "console.example.com"),
        ("console.example.com", False, "s3.example.com:8080", "console.example.com:8080"),
        ("console.example.com:9001", False, "10.0.0.5:9000", "console.example.com:9001"),
        ("console.example.com:9001", True, "s3.example.com", "console.example.com"),
    ],
)
def test_browsers_are_sent_to_the_console(text: str, secure: bool, asked: str, expected: str) -> None:
    assert parse_console_host(text).authority(secure, asked) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", True), ("127.0.0.1:9001", True), ("localhost", True), ("127.0.0.2", True), ("console.example.com", False)],
)
def test_objects_need_a_sandbox_unless_the_console_has_a_name_of_its_own(text: str, expected: bool) -> None:
    try:
        with override_settings(POST3_CONSOLE_HOST=text):
            console_host.cache_clear()
            objects_need_sandbox.cache_clear()
            assert objects_need_sandbox() is expected
            if text == "console.example.com":
                for urls in (
                    [path("", include("post3.console_urls")), path("", include("post3.urls"))],
                    [path("admin/", admin.site.urls), path("", include("post3.urls"))],
                    [path("s3/", include("post3.urls"))],
                ):
                    with override_settings(ROOT_URLCONF=tuple(urls)):
                        objects_need_sandbox.cache_clear()
                        assert objects_need_sandbox() is True, urls
    finally:
        console_host.cache_clear()
        objects_need_sandbox.cache_clear()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.0.0.0:9000", ["post3.E041"]),
        ("127.0.0.1", ["post3.E041"]),
        ("console.example.com:9000", ["post3.E041"]),
        ("127.0.0.2:9000", ["post3.E041"]),
        ("127.0.0.1:9001", []),
        ("", []),
    ],
)
def test_a_console_that_cannot_be_told_from_s3_is_refused(text: str, expected: list[str]) -> None:
    with override_settings(POST3_CONSOLE_HOST=text, POST3_ADDRESS=("127.0.0.1", 9000)):
        assert [error.id for error in check_console_host()] == expected


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("Example.com:80", ("example.com", "80")),
        ("example.com.", ("example.com", "")),
        ("[::1]:80", ("::1", "80")),
        ("a@b", ("", "")),
        ("a b", ("", "")),
        ("", ("", "")),
    ],
)
def test_a_host_header_is_split(host: str, expected: tuple[str, str]) -> None:
    assert split_host(host) == expected
