"""The console's login: Django's users and passwords, with a limit on the number of password attempts.

A Django project that installs post3 keeps its own login policy. To use this limit there, add `Backend` to
AUTHENTICATION_BACKENDS and `TooManyGuessesMiddleware` to MIDDLEWARE.
"""

import logging
from collections.abc import Callable
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.backends import ModelBackend
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from post3.access import guesses
from post3.db.outages import log_burst

logger = logging.getLogger("post3.login")


class Backend(ModelBackend):
    """Django's backend, with every login attempt counted."""

    def authenticate(
        self, request: HttpRequest | None, username: str | None = None, password: str | None = None, **credentials: Any
    ) -> Any:
        """Return the user if the password is correct, or None. Raises TooManyGuesses before the password is hashed."""
        name = username if username is not None else credentials.get(get_user_model().USERNAME_FIELD)
        if request is None or name is None or password is None:  # not a submitted login form
            return super().authenticate(request, username, password, **credentials)
        try:
            guess = guesses.count(name, client_address(request))
        except guesses.TooManyGuesses:
            log_burst(logger, "guesses", "Too many wrong passwords for %r or from %s", name, client_address(request))
            raise
        user = super().authenticate(request, username, password, **credentials)
        if user is not None and guess is not None:
            guesses.give_back(guess)
        return user


class TooManyGuessesMiddleware:
    """Returns 429 with a page that says when to try again."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self._get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        if not isinstance(error, guesses.TooManyGuesses):
            return None
        response = render(request, "post3/too_many_guesses.html", {"seconds": error.retry_after}, status=429)
        response.headers["Retry-After"] = str(error.retry_after)
        response.headers["Cache-Control"] = "no-store"
        return response


def client_address(request: HttpRequest) -> str:
    """Return the client's address, or "" if the connection has none."""
    return request.META.get("REMOTE_ADDR") or ""
