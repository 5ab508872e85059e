"""The Django app: models, system checks, admin."""

from django.apps import AppConfig


class Post3Config(AppConfig):
    name = "post3"
    label = "post3"
    verbose_name = "Object storage"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from . import checks  # noqa: F401  (registers the system checks)
        from .contrib import checks as contrib_checks  # noqa: F401
