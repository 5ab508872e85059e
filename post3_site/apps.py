"""The site as a Django app, so that Django finds its system checks."""

from django.apps import AppConfig
from django.db.backends.signals import connection_created


class Post3SiteConfig(AppConfig):
    name = "post3_site"

    def ready(self) -> None:
        from post3.db import databases

        from . import checks  # noqa: F401  (registers the system checks)

        # Only for the site: post3 must not change the connection settings of a project that installs it.
        connection_created.connect(databases.settle)
