"""The site's settings with passwords that are checked in milliseconds, for tests that log in often."""

from django.contrib.auth.hashers import PBKDF2PasswordHasher

from post3_site.settings import *  # noqa: F403


class QuickHasher(PBKDF2PasswordHasher):
    """Django's own hasher with a fiftieth of its work, which is enough for simultaneous logins to overlap."""

    iterations = 20_000


PASSWORD_HASHERS = ["tests.quick_passwords.QuickHasher"]
