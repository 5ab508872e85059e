"""The console's admin site, which is separate from the `admin.site` of the project that installs post3."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from django.contrib import admin
from django.core.exceptions import BadRequest
from django.db import DataError
from django.http import HttpRequest, HttpResponseBase

View = TypeVar("View", bound=Callable[..., HttpResponseBase])


class ConsoleSite(admin.AdminSite):
    site_header = site_title = "post3"
    index_title = "Console"
    site_url = None  # the console's origin serves no other pages

    def admin_view(self, view: View, cacheable: bool = False) -> View:
        """Wrap a view of the console. A value that the database cannot hold, in a form or an action, is a bad request.

        Django's forms pass on numbers of any size as primary keys, and none of its lookups by several keys checks them.
        """
        inner = super().admin_view(view, cacheable)

        @wraps(inner)
        def refusing(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            try:
                return inner(request, *args, **kwargs)
            except (OverflowError, DataError) as error:
                raise BadRequest("A value is too large for the database.") from error

        return cast(View, refusing)  # with the same parameters


console = ConsoleSite(name="post3_console")
