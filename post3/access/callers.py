"""Callers: the users on whose behalf post3 acts. A request without credentials has a caller too."""

import enum
from dataclasses import dataclass
from typing import Any

from ..errors import AccessDenied
from .owners import canonical_id


class Kind(enum.Enum):
    """How a caller was identified."""

    ANONYMOUS = "anonymous"
    #: By an API key.
    KEY = "key"
    #: By a login to the console.
    CONSOLE = "console"
    #: A management command, or code of the project that stores its files in post3.
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Caller:
    access_key: str = ""
    user_id: int | None = None
    #: The user's canonical id, as shown in `Owner` elements.
    owner_id: str = ""
    kind: Kind = Kind.KEY

    @property
    def known_user_id(self) -> int:
        """The owner of the objects that this caller stores. Raises AccessDenied for a caller without a user."""
        if self.user_id is None:
            raise AccessDenied()
        return self.user_id


ANONYMOUS = Caller(kind=Kind.ANONYMOUS)
OPERATOR = Caller(kind=Kind.OPERATOR)


def console_caller(user: Any) -> Caller:
    """Return the caller for a user who is logged in to the console."""
    if user is None or user.pk is None:
        return ANONYMOUS
    return Caller(user_id=user.pk, owner_id=canonical_id(user.pk), kind=Kind.CONSOLE)


def project_caller(user_id: int) -> Caller:
    """Return the caller for the project's own code that stores files as that user."""
    return Caller(user_id=user_id, owner_id=canonical_id(user_id), kind=Kind.OPERATOR)
