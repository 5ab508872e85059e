"""The site's settings with passwords that are checked in milliseconds, for servers of tests that log in often."""

from django.contrib.auth.hashers import PBKDF2PasswordHasher

from post3_site.settings import *  # noqa: F403


class QuickHasher(PBKDF2PasswordHasher):
    """Django's own hasher with a fiftieth of its work: enough that logins sent at once overlap."""

    iterations = 20_000


PASSWORD_HASHERS = ["tests.quick_passwords.QuickHasher"]
