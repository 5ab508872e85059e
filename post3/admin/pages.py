"""Lists whose cost depends only on the page size: keyset pagination and prefix search.

Django's lists count all rows, paginate with OFFSET, sort by any column, filter by any field and search with
`LIKE '%…%'`. Each of these reads the whole table. Here, a page starts where the previous one ended (`?p=` holds the
values of its last row), the order is always that of an index, and only filters that this index supports are allowed.
"""

import base64
import json
from collections.abc import Sequence
from typing import Any, ClassVar, TypeVar

from django.contrib import admin
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.views.main import PAGE_VAR, ChangeList
from django.core.exceptions import BadRequest, ValidationError
from django.db import DataError
from django.db.models import Expression, Model, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.text import capfirst

from ..access.callers import console_caller
from ..access.permissions import AccessRequest, is_allowed
from ..catalogue.listing import successor
from .cells import human_size, visible
from .generics import AnyBaseModelAdmin, AnyInlineFormSet, AnyModelAdmin, AnyTabularInline

Row = TypeVar("Row", bound=Model)


def encode_position(backwards: bool, values: list[Any]) -> str:
    """Encode a position in a list (a row's values of the ordering fields) and the direction in which to read."""
    text = json.dumps([backwards, *(value if isinstance(value, int | str) else value.isoformat() for value in values)])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_position(token: str) -> tuple[bool, list[Any]]:
    """Return the direction and the values of an encoded position. Raises ValueError."""
    try:
        backwards, *values = json.loads(base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True))
    except RecursionError:
        raise ValueError("a place in a list has no depth") from None
    for value in values:
        if isinstance(value, str):
            if "\0" in value.encode().decode():  # encode() rejects lone surrogates
                raise ValueError("no key holds a NUL")
        elif type(value) is not int or not -(1 << 63) <= value < 1 << 63:
            raise ValueError("no value of a column")
    return bool(backwards), values


def beyond(ordering: list[str], values: list[Any], backwards: bool) -> Q:
    """Return the condition for the rows after these values in this order, or before them if `backwards`.

    The bound on the first field is also a separate term, so that the database can start reading the index there.
    """
    condition = Q()
    for name, value in reversed(list(zip(ordering, values, strict=True))):
        field = name.removeprefix("-")
        side = "lt" if name.startswith("-") != backwards else "gt"
        further = Q(**{f"{field}__{side}": value})
        condition = further if not condition else Q(**{f"{field}__{side}e": value}) & (further | condition)
    return condition


def prefix_filter(field: str, prefix: str) -> Q:
    """Return a "starts with" condition as a range of the field's index. LIKE could read the whole table."""
    end = successor(prefix)
    condition = Q(**{f"{field}__gte": prefix})
    return condition if end is None else condition & Q(**{f"{field}__lt": end})


class KeysetChangeList(ChangeList):
    """A list in the order given by the admin class, with pages that start at a row instead of an offset.

    A field that is fixed by a filter (the bucket) must not be part of the order: given `= 3 AND >= 3`, SQLite picks the
    range, and then reads and sorts the whole bucket.
    """

    first_url = previous_url = next_url = ""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.title = capfirst(str(self.opts.verbose_name_plural))

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Expression | str]:
        """Return the admin class's order, which must be a total order of an index. `?o=` is ignored."""
        return [*self._ordering(request)]

    def _ordering(self, request: HttpRequest) -> list[str]:
        return list(self.model_admin.get_ordering(request))

    def get_results(self, request: HttpRequest) -> None:
        """Read one page, plus one row to determine whether another page follows."""
        ordering = self._ordering(request)
        queryset, backwards, token = self.queryset, False, request.GET.get(PAGE_VAR, "")
        try:
            if token:
                backwards, values = decode_position(token)
                queryset = queryset.filter(beyond(ordering, values, backwards))
            rows = list((queryset.reverse() if backwards else queryset)[: self.list_per_page + 1])
        except (ValueError, TypeError, OverflowError, ValidationError, DataError) as error:  # invalid values in the URL
            raise IncorrectLookupParameters(error) from error
        more = len(rows) > self.list_per_page
        rows = rows[: self.list_per_page]
        if backwards:
            rows.reverse()
        # A page read backwards has a next page, and a page with a token has a previous one. Otherwise the extra row
        # decides.
        if rows and (more if backwards else token):
            self.previous_url = self._page_url(ordering, rows[0], backwards=True)
        if rows and (backwards or more):
            self.next_url = self._page_url(ordering, rows[-1], backwards=False)
        self.first_url = self.get_query_string() if token else ""
        # Equal counts keep Django's templates from showing a total, which is unknown.
        self.result_list = rows
        self.result_count = self.full_result_count = len(rows)
        self.show_full_result_count = False
        self.show_admin_actions = bool(rows)
        self.can_show_all = self.multi_page = False
        self.paginator = None

    def _page_url(self, ordering: list[str], row: Model, backwards: bool) -> str:
        values = [getattr(row, name.removeprefix("-")) for name in ordering]
        return self.get_query_string({PAGE_VAR: encode_position(backwards, values)})


class Authorised(AnyBaseModelAdmin):
    """Django's permissions, as far as the rule in `access/permissions.py` allows `post3:ViewApiKey` and so on."""

    def _is_allowed(self, request: HttpRequest, verb: str) -> bool:
        action = f"post3:{verb}{self.opts.object_name}"
        return is_allowed(AccessRequest(console_caller(request.user), action))

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_view_permission(request, obj) and self._is_allowed(request, "View")

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return super().has_add_permission(request, *args) and self._is_allowed(request, "Add")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_change_permission(request, obj) and self._is_allowed(request, "Change")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return super().has_delete_permission(request, obj) and self._is_allowed(request, "Delete")


class ReadOnly(AnyBaseModelAdmin):
    """Permissions of a model that can only be viewed."""

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class ByPrimaryKey(AnyModelAdmin):
    """Finds a row by its primary key only. `_to_field` may name any field, and an empty one breaks Django's page."""

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any:
        return super().get_object(request, object_id)

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Run an action on the selected rows. Raises BadRequest for a key that is not a number."""
        if not all(is_number(key) for key in request.POST.getlist(ACTION_CHECKBOX_NAME)):
            raise BadRequest("A selected row is not named by a number.")
        return super().response_action(request, queryset)


class CatalogueAdmin(Authorised, ReadOnly, ByPrimaryKey, AnyModelAdmin):
    """A read-only list, ordered by an index."""

    actions: Sequence[str] | None = None
    list_per_page = 100
    show_facets = admin.ShowFacets.NEVER  # facets count rows
    #: Sortable column headers would offer orders that no index supports.
    sortable_by = ()
    #: Filters in the URL that an index supports. Others are rejected.
    lookups: tuple[str, ...] = ()
    #: The field that the search box searches by prefix.
    prefix_field = ""

    @admin.display(description="Owner")
    def shown_owner(self, row: Any) -> str:
        """Return the owner without a link, because permission to view the catalogue does not include users."""
        return visible(str(row.owner))

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return KeysetChangeList

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        return lookup in self.lookups

    def get_search_fields(self, request: HttpRequest) -> tuple[str, ...]:
        return (self.prefix_field,) if self.prefix_field else ()

    def get_search_results(self, request: HttpRequest, queryset: QuerySet[Any], search_term: str) -> tuple[QuerySet[Any], bool]:
        if not (search_term and self.prefix_field):
            return queryset, False
        return queryset.filter(prefix_filter(self.prefix_field, search_term)), False


class LimitedFormSet(AnyInlineFormSet):
    """A formset of the first rows only, because 10,000 forms would take seconds to render."""

    limit = 100

    def get_queryset(self) -> QuerySet[Any]:
        if not hasattr(self, "_limited"):
            self._limited = super().get_queryset()[: self.limit]
        return self._limited


class TableInline(Authorised, ReadOnly, AnyTabularInline):
    """A read-only table of rows that belong to the displayed row."""

    fields: ClassVar[tuple[str, ...]]
    template = "admin/post3/inline_table.html"
    formset = LimitedFormSet
    extra = 0

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return list(self.fields)


class PartsAdmin(CatalogueAdmin):
    """All parts of one object or upload. The page of the object or upload shows only the first parts."""

    list_display_links = None
    #: The foreign key to the object or upload.
    whole = ""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False  # parts are reached from their object or upload

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        return lookup == f"{self.whole}__id__exact"

    def get_ordering(self, request: HttpRequest) -> list[str]:
        return ["part_number"]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """List the parts of the object or upload in the URL. Without one, redirect to the objects or uploads."""
        model = self.model._meta.get_field(self.whole).related_model
        whole = find_by_number(model, request.GET.get(f"{self.whole}__id__exact", ""))
        if whole is None:
            return redirect(f"post3_console:post3_{model._meta.model_name}_changelist")
        return super().changelist_view(request, {"title": f"Parts of {whole}", **(extra_context or {})})

    @admin.display(description="Size")
    def human_size(self, part: Any) -> str:
        return human_size(part.size)


def is_number(text: str) -> bool:
    """Whether a text can be the primary key of a row."""
    return text.isascii() and text.isdecimal() and len(text) < 20


def find_by_number(model: type[Row], number: str) -> Row | None:
    """Return the row with this primary key, given as text from a URL, or None."""
    if not is_number(number):
        return None
    return model._default_manager.filter(pk=int(number)).first()
