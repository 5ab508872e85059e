"""The site as a Django app, so that its system checks are found."""

from django.apps import AppConfig
from django.db.backends.signals import connection_created


class Post3SiteConfig(AppConfig):
    name = "post3_site"

    def ready(self) -> None:
        from post3.db import databases

        from . import checks  # noqa: F401  (registers the system checks)

        # Of the site alone: a project's own settings of its connections are not post3's to change.
        connection_created.connect(databases.settle)
