"""Which paths are S3's: what Django's URL resolver would say, without asking it for every request.

The resolver costs 40 of the 250 µs of a GET. All that it can say of most paths follows from how the routes begin: where none
that stands before S3's catch-all can match, the catch-all does. Paths that might match another route are left to the resolver.
"""

from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RoutePattern


@dataclass(frozen=True, slots=True)
class Mount:
    """Where S3 is in the project's URLs, as paths with their leading slash."""

    #: What paths of S3 begin with.
    prefix: str
    #: What paths begin with that another route may match.
    others: tuple[str, ...]

    def holds(self, path: str) -> bool:
        """Whether the resolver would surely choose S3's catch-all for this path."""
        return path.startswith(self.prefix) and not path.startswith(self.others)

    def is_whole_site(self) -> bool:
        """Whether the project has no pages beside those of `post3.urls`."""
        return self.prefix == "/" and self.others == ("/_/",)


def find_mount() -> Mount | None:
    """Return where the project's URLs hold S3; None where they do not, or only the resolver can tell."""
    others: list[str] = []
    prefix = _search(get_resolver().url_patterns, "/", others)
    if prefix is None:
        return None
    ours = f"{prefix}_/"
    return Mount(prefix, (ours, *(other for other in others if not other.startswith(ours))))


def _search(patterns: list[Any], prefix: str, others: list[str]) -> str | None:
    """Return the prefix of the catch-all; collect the beginnings of all routes before it."""
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
    """Return the literal beginning of a route, and whether that is all of it."""
    route = getattr(entry.pattern, "_route", None) if isinstance(entry.pattern, RoutePattern) else None
    if not isinstance(route, str):
        return "", False  # a regular expression, a language prefix or a translated route may match anything
    literal, converter, _ = route.partition("<")
    return literal, not converter
