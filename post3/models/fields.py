"""A text field that is ordered and compared by UTF-8 bytes, as S3 orders keys."""

from typing import TYPE_CHECKING, Any

from django.db import models

if TYPE_CHECKING:
    TextField = models.TextField[str, str]
else:
    TextField = models.TextField  # takes type parameters only in django-stubs


class ByteOrderedField(TextField):
    """Text ordered by its UTF-8 bytes: `COLLATE "C"` on PostgreSQL. SQLite's default, BINARY, does the same."""

    def db_parameters(self, connection: Any) -> dict[str, Any]:
        parameters = super().db_parameters(connection)
        if connection.vendor == "postgresql":
            parameters["collation"] = "C"
        return parameters
