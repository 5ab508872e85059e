"""Users and groups in the site's console.

Users who own something are not deleted but made inactive. Django's own page would collect all that they own, and refuse then.
"""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.utils.text import get_text_list

from post3.admin.pages import Authorised, ByPrimaryKey
from post3.models import ApiKey, Bucket, MultipartUpload, Object

#: Owners that a refusal names.
NAMED = 10


def owners(users: Any) -> QuerySet[User]:
    """Return those of these users, a list or a query, who own anything of post3's. It collects nothing of what they own."""
    owns = Exists(ApiKey.objects.filter(user=OuterRef("pk")))
    for model in (Bucket, MultipartUpload, Object):
        owns = owns | Exists(model.objects.filter(owner=OuterRef("pk")))
    chosen = users.order_by().values("pk") if isinstance(users, QuerySet) else [user.pk for user in users]
    return User.objects.filter(owns, pk__in=chosen)


class FiltersOnly:
    """Lets no other look-ups through than those that the list's own filters make: `?username__regex=` reads all, and may fail."""

    filters: frozenset[str] = frozenset()

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        return lookup in self.filters


class ConsoleUserAdmin(Authorised, FiltersOnly, ByPrimaryKey, UserAdmin):
    filters = frozenset(
        f"{name}__{lookup}"
        for name, lookups in {
            "is_staff": ["exact", "isnull"],
            "is_superuser": ["exact", "isnull"],
            "is_active": ["exact", "isnull"],
            "groups": ["id__exact", "isnull"],
        }.items()
        for lookup in lookups
    )

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> tuple[list[Any], dict[str, int], set[str], list[str]]:
        """Say in a sentence why these users cannot be deleted, where they own something."""
        names = [user.get_username() for user in owners(objs)[:NAMED]]
        if not names:
            return super().get_deleted_objects(objs, request)
        whose = get_text_list(names, "and")
        sentence = (
            f"API keys, buckets, uploads or objects of {whose}. Make such users inactive instead: their keys are refused then."
        )
        return [], {}, set(), [sentence]


class ConsoleGroupAdmin(Authorised, FiltersOnly, ByPrimaryKey, GroupAdmin):
    pass


def register(site: admin.AdminSite) -> None:
    """Register both in place of Django's own."""
    for model, model_admin in ((User, ConsoleUserAdmin), (Group, ConsoleGroupAdmin)):
        if site.is_registered(model):
            site.unregister(model)
        site.register(model, model_admin)
