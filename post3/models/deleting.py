"""Prevent the deletion of users who own something."""

from typing import Any

from django.db.models import Field, ProtectedError, QuerySet
from django.db.models.deletion import Collector


def protect(collector: Collector, field: "Field[Any, Any]", sub_objs: QuerySet[Any], using: str) -> None:
    """Refuse to delete an object that rows refer to, as Django's PROTECT does. Raises ProtectedError.

    PROTECT reads all such rows, which may be millions. This function reads one.
    """
    first: list[Any] = list(sub_objs[:1])
    if first:
        owned = first[0]._meta.verbose_name_plural
        raise ProtectedError(f"It is the {field.name} of {owned}, and cannot be deleted before them.", set(first))


#: Otherwise Django would read all of the rows before it calls the function.
vars(protect)["lazy_sub_objs"] = True
