"""The site's store on disk: the data directory, which also holds the secret if the catalogue is in SQLite."""

from pathlib import Path

from django.conf import settings

from .environment import kept_secret


def make_store() -> None:
    """Create the data directory and the secret file if this site uses them and they are missing. Raises OSError.

    Until then, the process has a temporary secret, which has not encrypted anything. If another process has already
    stored a secret, that one is used.
    """
    if settings.DATABASES["default"]["ENGINE"].endswith("sqlite3"):
        Path(settings.POST3_DATA_DIR).mkdir(mode=0o700, parents=True, exist_ok=True)
    if settings.POST3_SECRET_FILE:
        settings.SECRET_KEY = kept_secret(Path(settings.POST3_SECRET_FILE))
