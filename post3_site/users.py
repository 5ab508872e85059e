"""Users and groups in the site's console.

Users who own anything are deactivated instead of deleted. Django's delete page would first collect everything they own.
"""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.auth.admin import GroupAdmin, UserAdmin
from django.contrib.auth.models import Group, User
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest
from django.utils.text import get_text_list

from post3.admin.generics import AnyBaseModelAdmin
from post3.admin.pages import Authorised, ByPrimaryKey
from post3.models import ApiKey, Bucket, MultipartUpload, Object

if TYPE_CHECKING:
    AnyUserAdmin = UserAdmin[Any]
else:
    AnyUserAdmin = UserAdmin

#: Maximum number of owners named in a refusal.
NAMED = 10


def owners(users: Any) -> QuerySet[User]:
    """Return the users, from a list or a queryset, who own any of post3's rows. The rows themselves are not loaded."""
    owns = Q(Exists(ApiKey.objects.filter(user=OuterRef("pk"))))
    for model in (Bucket, MultipartUpload, Object):
        owns |= Q(Exists(model.objects.filter(owner=OuterRef("pk"))))
    chosen = users.order_by().values("pk") if isinstance(users, QuerySet) else [user.pk for user in users]
    return User.objects.filter(owns, pk__in=chosen)


class FiltersOnly(AnyBaseModelAdmin):
    """Allows only the lookups of the list's own filters. `?username__regex=` would read all rows, and may fail."""

    filters: frozenset[str] = frozenset()

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        return lookup in self.filters


class ConsoleUserAdmin(Authorised, FiltersOnly, ByPrimaryKey, AnyUserAdmin):
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
        """Return one sentence that explains why these users cannot be deleted, if any of them owns something."""
        names = [user.get_username() for user in owners(objs)[:NAMED]]
        if not names:
            return super().get_deleted_objects(objs, request)
        whose = get_text_list(names, "and")
        sentence = (
            f"API keys, buckets, uploads or objects of {whose}. Deactivate these users instead: their keys are then refused."
        )
        return [], {}, set(), [sentence]


class ConsoleGroupAdmin(Authorised, FiltersOnly, ByPrimaryKey, GroupAdmin):
    pass


def register(site: admin.AdminSite) -> None:
    """Replace Django's user and group admins with the ones in this module."""
    for model, model_admin in ((User, ConsoleUserAdmin), (Group, ConsoleGroupAdmin)):
        if site.is_registered(model):
            site.unregister(model)
        site.register(model, model_admin)
