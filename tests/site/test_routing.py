"""The location of S3 in a project's URLs: `find_mount` must agree with Django's resolver."""

import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest
from django.conf.urls.i18n import i18n_patterns
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import Resolver404, clear_url_caches, include, path, re_path, resolve

from post3.api.dispatch import dispatch
from post3.web.mount import Mount, find_mount


def other(request: HttpRequest, **arguments: object) -> HttpResponse:
    """A view of the project."""
    return HttpResponse()


S3 = "post3.urls"
#: Each project with its expected mount, in which no other path starts with another one. None means that there is no
#: mount, or that only the resolver can find it.
PROJECTS: dict[str, tuple[list[Any], Mount | None]] = {
    "at the root": ([path("", include(S3))], Mount("/", ("/_/",))),
    "below files": (
        [path("files/", include(S3))],
        Mount("/files/", ("/files/_/",)),
    ),
    "between other paths": (
        [path("about", other), path("shop/", include([path("cart", other)])), path("", include(S3)), path("late/", other)],
        Mount("/", ("/_/", "/about", "/shop/")),
    ),
    "below files, others about it": (
        [path("files/own", other), path("a/", other), path("files/", include(S3)), re_path("", other)],
        Mount("/files/", ("/files/_/", "/files/own", "/a/")),
    ),
    "in an include of an include": (
        [path("a/", include([path("x", other), path("b/", include((S3, "store"))), path("y", other)]))],
        Mount("/a/b/", ("/a/b/_/", "/a/x")),
    ),
    "twice": (
        [path("files/", include(S3)), path("", include(S3))],
        Mount("/files/", ("/files/_/",)),
    ),
    "after a converter with a beginning": (
        [path("by/<slug:x>/", other), path("", include(S3))],
        Mount("/", ("/_/", "/by/")),
    ),
    "after a converter at the root": (
        [path("<slug:x>/", other), path("", include(S3))],
        Mount("/", ("/",)),
    ),
    "after an include below a converter": (
        [path("files/<slug:x>/", include([path("y", other)])), path("files/", include(S3))],
        Mount("/files/", ("/files/",)),
    ),
    "after a regular expression": (
        [re_path(r"^photos?$", other), path("", include(S3))],
        Mount("/", ("/",)),
    ),
    "after paths of languages": (
        [*i18n_patterns(path("about", other), prefix_default_language=False), path("", include(S3))],
        Mount("/", ("/",)),
    ),
    "below a converter": ([path("<slug:x>/", include(S3))], None),
    "below a regular expression": ([re_path(r"^files/", include(S3))], None),
    "not at all": ([path("about", other), path("shop/", include([path("cart", other)]))], None),
    "nothing": ([], None),
}
#: Projects in which no path certainly belongs to S3, so all paths are left to the resolver.
NEVER = {name for name in PROJECTS if name.startswith("after ")} - {"after a converter with a beginning"}

PATHS = [
    *("/", "//", "/_", "/_/", "/_x", "/__/a", "/_/admin/", "/_/admin", "/_/health/live", "/_/health/ready", "/_/static/x.css"),
    *("/bucket", "/bucket/", "/bucket/key", "/bucket//key", "/bucket/a/../b", "/bucket/new\nline", "/new\n", "/\n"),
    *("/bucket/_/x", "/bucket/ü 𝄞", "/bucket/%2F", "/bucket/?", "/bucket/<slug:x>", "/by", "/by/", "/by/a", "/by/a/", "/bye"),
    *("/about", "/about/", "/abou", "/About", "/shop", "/shop/", "/shop/cart", "/late/", "/photo", "/photos", "/en/about"),
    *("/files", "/files/", "/files//", "/files/b", "/files/b/key", "/files/_", "/files/_/", "/files/_/admin/", "/files/_/x"),
    *("/files/own", "/files/owner", "/files/b/new\n", "/FILES/b", "/files/x/y", "/filesystem/b", "/a", "/a/", "/a/x", "/a/b"),
    *("/a/b/", "/a/b/c/d", "/a/b/_/", "/a/b/_/health/live", "/a/y", "/a/b/_x", "", "bucket/key"),
]


@contextmanager
def urls(patterns: list[Any]) -> Iterator[None]:
    """Use these patterns as the project's URLs."""
    module = ModuleType(f"urls_{uuid.uuid4().hex}")
    module.urlpatterns = patterns  # type: ignore[attr-defined]
    sys.modules[module.__name__] = module
    try:
        with override_settings(ROOT_URLCONF=module.__name__):
            clear_url_caches()
            yield
    finally:
        del sys.modules[module.__name__]
        clear_url_caches()


def shortest(beginnings: tuple[str, ...]) -> set[str]:
    """Return the beginnings that do not start with another one."""
    return {text for text in beginnings if not any(text != other and text.startswith(other) for other in beginnings)}


def resolved(path: str) -> tuple[Any, dict[str, Any]]:
    try:
        match = resolve(path)
    except Resolver404:
        return None, {}
    return match.func, match.kwargs


@pytest.mark.parametrize("name", PROJECTS)
def test_mount_is_found(name: str) -> None:
    patterns, expected = PROJECTS[name]
    with urls(patterns):
        found = find_mount()
    if expected is None or found is None:
        assert found is expected
    else:
        assert (found.prefix, shortest(found.others)) == (expected.prefix, set(expected.others))


@pytest.mark.parametrize("name", PROJECTS)
def test_what_the_mount_holds_the_resolver_gives_to_s3(name: str) -> None:
    with urls(PROJECTS[name][0]):
        mount = find_mount()
        held = [path for path in PATHS if mount is not None and mount.holds(path)]
        for path_ in held:
            function, arguments = resolved(path_)
            assert function is dispatch, repr(path_)
            assert arguments == {"path": path_.removeprefix(mount.prefix)}, repr(path_)  # type: ignore[union-attr]
    assert bool(held) == (mount is not None and name not in NEVER)


@pytest.mark.parametrize("name", ["at the root", "below files", "in an include of an include"])
def test_what_the_resolver_gives_to_s3_the_mount_holds(name: str) -> None:
    """These projects have no conflicting routes, so all paths take the fast path, and none is left to the resolver."""
    with urls(PROJECTS[name][0]):
        mount = find_mount()
        assert mount is not None
        for path_ in PATHS:
            if path_.startswith(mount.prefix) and resolved(path_)[0] is dispatch:
                assert mount.holds(path_), repr(path_)


def test_paths_another_route_may_match_are_left_to_the_resolver() -> None:
    with urls(PROJECTS["after a converter with a beginning"][0]):
        mount = find_mount()
        assert mount is not None
        assert resolved("/by/a/")[0] is other and not mount.holds("/by/a/")
        assert resolved("/by/a/b")[0] is dispatch and not mount.holds("/by/a/b")
        assert mount.holds("/bye") and mount.holds("/by")
    with urls(PROJECTS["between other paths"][0]):
        mount = find_mount()
        assert mount is not None
        assert mount.holds("/late/"), "routes after the catch-all are never reached"
        assert resolved("/about")[0] is other and not mount.holds("/about")
        assert resolved("/shop/cart")[0] is other and not mount.holds("/shop/cart")


def test_the_site_has_s3_at_its_root() -> None:
    clear_url_caches()
    mount = find_mount()
    assert mount is not None and mount.prefix == "/"
    assert mount.holds("/bucket/key") and not mount.holds("/_/admin/")
