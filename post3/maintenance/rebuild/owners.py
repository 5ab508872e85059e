"""Restore the users of a rebuilt catalogue: owners of buckets and objects are created again with the same ids.

The id must stay the same, because S3's canonical id of an owner is derived from it. Passwords and API keys are lost.
"""

from datetime import datetime

from django.contrib.auth import get_user_model
from django.core.management.color import no_style
from django.db import connection


class OwnerMismatch(Exception):
    """In the catalogue, the id of an owner belongs to another user. The message says what to do."""


class Owners:
    """The users by id. Missing ones are created.

    `made` collects the names of created users. `trusting`: accept the catalogue's users as owners under another name.
    """

    def __init__(self, made: dict[int, str], trusting: bool) -> None:
        self._made, self._trusting = made, trusting
        self._model = get_user_model()
        self._users = self._model._default_manager
        self._name_field = self._model.USERNAME_FIELD
        self._known: set[int] = set()
        #: Of each created user, the name in the newest description and the time of that description.
        self._newest: dict[int, tuple[datetime, str]] = {}

    def need(self, user_id: int, name: str, moment: datetime) -> None:
        """Create the user with that id if it is missing. `name`, `moment`: of a description. Raises OwnerMismatch."""
        if user_id in self._newest:
            self._newest[user_id] = max(self._newest[user_id], (moment, name))
        elif user_id not in self._known:
            there = self._users.filter(pk=user_id).values_list(self._name_field, flat=True).first()
            if there is None:
                self._make(user_id, name)
                self._newest[user_id] = (moment, name)
                return
            if name and there != name and not self._trusting:
                raise OwnerMismatch(
                    f"The owner {name!r} has the id {user_id}, which belongs to {there!r} in this catalogue. Use an empty "
                    f"catalogue, or --merge to make {there!r} the owner of everything that {name!r} owned."
                )
            self._known.add(user_id)

    def finish(self) -> None:
        """Give created users the name in their newest description. Make sure that later users get higher ids."""
        for user_id, (_, name) in self._newest.items():
            if name and name != self._made[user_id]:
                self._made[user_id] = self._free_name(user_id, name)
                self._users.filter(pk=user_id).update(**{self._name_field: self._made[user_id]})
        self._reset_sequence()

    def _make(self, user_id: int, name: str) -> None:
        name = self._free_name(user_id, name)
        user = self._model(**{"pk": user_id, self._name_field: name})
        user.set_unusable_password()
        user.save(force_insert=True)
        self._made[user_id] = name
        self._reset_sequence()

    def _free_name(self, user_id: int, name: str) -> str:
        taken = self._users.filter(**{self._name_field: name}).exclude(pk=user_id).exists()
        return f"{name or 'owner'}-{user_id}" if taken or not name else name

    def _reset_sequence(self) -> None:
        with connection.cursor() as cursor:
            for statement in connection.ops.sequence_reset_sql(no_style(), [self._model]):
                cursor.execute(statement)
