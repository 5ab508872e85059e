"""The site as a Django app, so that its system checks are found."""

from django.apps import AppConfig


class Post3SiteConfig(AppConfig):
    name = "post3_site"

    def ready(self) -> None:
        from . import checks  # noqa: F401  (registers the system checks)
