"""Reading a request: where its path starts below the mount, and the bucket and key that its target names."""

from types import SimpleNamespace
from typing import Any

import pytest

from post3.errors import InvalidURI
from post3.s3 import headers
from post3.s3.request import path_below, request_of_django, request_of_scope, split_target
from post3.server.bodies import MemoryBody

from .signing import make_request


@pytest.mark.parametrize(
    ("raw_path", "mount", "expected"),
    [
        ("/", "", ""),
        ("/b/k", "", "b/k"),
        ("//b", "", "/b"),
        ("/s3", "/s3", ""),
        ("/s3/", "/s3", ""),
        ("/s3/b/k%2Fl", "/s3", "b/k%2Fl"),
        ("/s3//b", "/s3", "/b"),
        ("/%733/b", "/s3", "b"),
        ("/gr%c3%b6%c3%9fe/b", "/größe", "b"),
        ("/a%20b/c/b", "/a b/c", "b"),
        ("/a%2520b/b", "/a%20b", "b"),
        # A root path is taken literally, including percent signs.
        ("/a%20b/b", "/a%20b", "b"),
        ("/x//s3/b", "/x//s3", "b"),
        ("/s3/../b", "/s3", "../b"),
    ],
)
def test_path_below_the_mount(raw_path: str, mount: str, expected: str) -> None:
    assert path_below(raw_path, mount) == expected


@pytest.mark.parametrize(
    ("raw_path", "mount"),
    [
        *(("/s3%2Fb/k", "/s3"), ("/s3%2fb", "/s3"), ("/s3b/k", "/s3"), ("/s/3/b", "/s3"), ("//s3/b", "/s3"), ("/S3/b", "/s3")),
        *(("/a%2Fb/c", "/a/b"), ("/a/b", "/a/b/c"), ("/a", "/a/b"), ("/", "/s3"), ("", "/s3"), ("*", ""), ("s3/b", "/s3")),
        *(
            ("/./s3/b", "/s3"),
            ("/%2e/s3/b", "/s3"),
            ("/x/../s3/b", "/s3"),
            ("/s3%00/b", "/s3"),
            ("/%ff/b", "/ÿ"),
            ("/s3;/b", "/s3"),
        ),
    ],
)
def test_path_that_does_not_start_with_the_mount_is_refused(raw_path: str, mount: str) -> None:
    with pytest.raises(InvalidURI):
        path_below(raw_path, mount)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/b/k", ("", "/b/k")),
        ("//b/k", ("", "//b/k")),
        ("http://h:1/b/k", ("h:1", "/b/k")),
        ("HTTPS://h", ("h", "/")),
        ("http://h?a=/b", ("h", "/?a=/b")),
        ("http://u@h/http://x/y", ("u@h", "/http://x/y")),
        ("*", ("", "*")),
    ],
)
def test_target_is_split(target: str, expected: tuple[str, str]) -> None:
    assert split_target(target) == expected


def read_wsgi(mount: str, **environ: Any) -> Any:
    django = SimpleNamespace(method="GET", META={"HTTP_HOST": "h", **environ}, is_secure=lambda: False)
    return request_of_django(django, MemoryBody(b"", True), mount)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["RAW_URI", "REQUEST_URI"])
def test_wsgi_script_name_is_part_of_the_mount(name: str) -> None:
    request = read_wsgi("/api/s3", **{name: "/api/%733/b/a%2Fk?x=1", "SCRIPT_NAME": "/api"})
    assert (request.bucket, request.key, request.query) == ("b", "a/k", {"x": "1"})
    for target in ("/api%2Fs3/b/k", "/api/s3%2Fb/k", "/s3/b/k"):
        with pytest.raises(InvalidURI):
            read_wsgi("/api/s3", **{name: target})


def test_wsgi_absolute_form_names_the_host() -> None:
    request = read_wsgi("/s3", RAW_URI="http://other.example:80/s3/b/k?x")
    assert (request.target_host, request.bucket, request.key) == ("other.example:80", "b", "k")


def test_scope_with_a_mount() -> None:
    scope = {"method": "GET", "raw_path": b"/s3/b/k", "query_string": b"", "headers": [(b"host", b"h")]}
    request = request_of_scope(scope, MemoryBody(b"", True), "/s3")
    assert (request.bucket, request.key) == ("b", "k")
    with pytest.raises(InvalidURI):
        request_of_scope({**scope, "raw_path": b"/s3%2fb/k"}, MemoryBody(b"", True), "/s3")


@pytest.mark.parametrize("name", ["CONTENT_TYPE", "HTTP_CONTENT_LANGUAGE", "HTTP_X_AMZ_META_CITY"])
def test_wsgi_headers_of_utf8_are_decoded_alike(name: str) -> None:
    environ = {"RAW_URI": "/bucket/key", name: "Köln".encode().decode("latin-1")}
    request = SimpleNamespace(META=environ, method="PUT", is_secure=lambda: False)
    read: Any = request_of_django(request, MemoryBody(b"", True), "")  # type: ignore[arg-type]
    assert read.headers[name.removeprefix("HTTP_").lower().replace("_", "-")] == "Köln"


def test_source_of_a_copy_is_parsed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rule that authorises a request and its view both ask for it."""
    request = make_request("PUT", "/b/k", headers={"x-amz-copy-source": "/bucket/a+b"})
    assert headers.copy_source_of(request) == ("bucket", "a b")
    monkeypatch.setattr(headers, "unquote_to_bytes", None)
    assert headers.copy_source_of(request) == ("bucket", "a b")
