"""The site's store on disk: the data directory, and the secret that is kept there beside the embedded catalogue."""

from pathlib import Path

from django.conf import settings

from .environment import kept_secret


def make_store() -> None:
    """Make the data directory and the secret where they belong to this site and are missing. Raises OSError.

    Until then the process has a secret of its own, under which nothing was encrypted. Another process may have kept one first.
    """
    if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        Path(settings.POST3_DATA_DIR).mkdir(mode=0o700, parents=True, exist_ok=True)
    if settings.POST3_SECRET_FILE:
        settings.SECRET_KEY = kept_secret(Path(settings.POST3_SECRET_FILE))
