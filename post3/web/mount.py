"""The paths that belong to S3, as Django's URL resolver would decide, without calling it for every request.

The resolver takes 40 of the 250 µs of a GET. For most paths, the beginnings of the routes are enough: if no route
before S3's catch-all can match, the catch-all does. Paths that might match another route are left to the resolver.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from django.http import HttpResponseBase
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RoutePattern

View = TypeVar("View", bound=Callable[..., HttpResponseBase])


def around_middleware(view: View) -> View:
    """Mark a view whose requests do not pass through the project's middleware (`server/around.py`)."""
    vars(view)["goes_around_middleware"] = True
    return view


@dataclass(frozen=True, slots=True)
class Mount:
    """The place of S3 in the project's URLs, as paths with a leading slash."""

    #: The prefix of all S3 paths.
    prefix: str
    #: The prefixes of paths that another route may match.
    others: tuple[str, ...]

    def holds(self, path: str) -> bool:
        """Whether the resolver is certain to choose S3's catch-all for this path."""
        return path.startswith(self.prefix) and not path.startswith(self.others)

    def is_whole_site(self) -> bool:
        """Whether the project has no pages other than those of `post3.urls`."""
        return self.prefix == "/" and self.others == ("/_/",)


def find_mount() -> Mount | None:
    """Return the place of S3 in the project's URLs, or None if there is none or only the resolver can decide."""
    others: list[str] = []
    prefix = _search(get_resolver().url_patterns, "/", others)
    if prefix is None:
        return None
    ours = f"{prefix}_/"
    return Mount(prefix, (ours, *(other for other in others if not other.startswith(ours))))


def _search(patterns: list[Any], prefix: str, others: list[str]) -> str | None:
    """Return the prefix of the catch-all, and add the beginnings of all routes before it to `others`."""
    for entry in patterns:
        if isinstance(entry, URLPattern) and getattr(entry.callback, "is_s3_catch_all", False):
            return prefix
        literal, whole = _beginning(entry)
        if isinstance(entry, URLResolver) and whole:
            found = _search(entry.url_patterns, prefix + literal, others)
            if found is not None:
                return found
        others.append(prefix + literal)
    return None


def _beginning(entry: Any) -> tuple[str, bool]:
    """Return the literal beginning of a route, and whether it is the whole route."""
    route = getattr(entry.pattern, "_route", None) if isinstance(entry.pattern, RoutePattern) else None
    if not isinstance(route, str):
        return "", False  # a regular expression, a language prefix or a translated route may match anything
    literal, converter, _ = route.partition("<")
    return literal, not converter
