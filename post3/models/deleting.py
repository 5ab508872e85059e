"""What keeps a user from being deleted who owns something."""

from typing import Any

from django.db.models import Field, ProtectedError, QuerySet
from django.db.models.deletion import Collector


def protect(collector: Collector, field: "Field[Any, Any]", sub_objs: QuerySet[Any], using: str) -> None:
    """Refuse to delete what a row refers to, as Django's PROTECT does. That reads all such rows, which may be millions; this
    reads one. Raises ProtectedError."""
    first: list[Any] = list(sub_objs[:1])
    if first:
        owned = first[0]._meta.verbose_name_plural
        raise ProtectedError(f"It is the {field.name} of {owned}, and cannot be deleted before them.", set(first))


#: Django would look for rows itself otherwise, and read all of them.
vars(protect)["lazy_sub_objs"] = True
