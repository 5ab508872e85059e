"""The site's Django settings. Only this module reads the environment.

`conf.py` in this directory and `post3/conf.py` declare the environment variables; docs/settings.md lists them. Invalid
values do not raise here. `post3_site/checks.py` reports them.
"""

import os
from pathlib import Path

from post3.conf import Settings
from post3.console_host import in_url, parse_console_host

from .conf import SiteSettings
from .environment import Environment, parse_address

BASE_DIR = Path(__file__).resolve().parent.parent
_environment = Environment(os.environ)

# Problems with the environment, for the system checks.
POST3_PROBLEMS = _environment.problems

# --- The store --------------------------------------------------------------------------------------------------------

# `var` in the checkout or, if post3 is installed, in the current directory. Never in site-packages.
_home = BASE_DIR if (BASE_DIR / "manage.py").is_file() else Path.cwd()
_data_dir = Path(_environment.read(SiteSettings.DATA_DIR) or _home / "var").expanduser().absolute()
POST3_DATA_DIR = str(_data_dir)
# The host and port on which `manage.py serve` and gunicorn listen.
POST3_ADDRESS = parse_address(_environment.read(SiteSettings.HOST))

DATABASES = {"default": _environment.database(SiteSettings.DATABASE_URL, _data_dir / "catalogue.sqlite3")}
_on_sqlite = DATABASES["default"]["ENGINE"].endswith("sqlite3")

_BACKENDS = {
    "filesystem": {
        "BACKEND": "post3.storage.filesystem.FilesystemStorage",
        "OPTIONS": {"location": str(_data_dir / "objects")},
    },
    "database": {"BACKEND": "post3.storage.database.DatabaseStorage"},
}
_storage = _environment.read(SiteSettings.STORAGE) or ("filesystem" if _on_sqlite else "database")
POST3_STORAGES = {"STANDARD": _BACKENDS[_storage]}
_given = _environment.given(Settings)
_environment.check_order(_given, Settings)
globals().update(_given)
# The console's origin, which differs from that of S3. If it is the default and its port is in use, gunicorn does not
# serve the console. A gunicorn that replaces another one (GUNICORN_FD) inherits its sockets, so there the port is
# always in use.
POST3_CONSOLE_HOST = _given.get("POST3_CONSOLE_HOST", "127.0.0.1:9001")
POST3_CONSOLE_HOST_CHOSEN = "POST3_CONSOLE_HOST" in _given or "GUNICORN_FD" in os.environ

if _on_sqlite:
    _environment.check_directory(SiteSettings.DATA_DIR, _data_dir)

# Signs sessions and decrypts the secrets of API keys. With SQLite, it is kept next to the catalogue; `migrate` creates
# it (`store.py`). A site with a database server may run on several machines, which must all have the same secret.
SECRET_KEY, POST3_SECRET_FILE = _environment.secret(
    SiteSettings.SECRET_KEY, _data_dir / "secret_key" if _on_sqlite else None, DATABASES["default"]
)
SECRET_KEY_FALLBACKS = _environment.read(SiteSettings.SECRET_KEY_FALLBACKS)

# --- The console ------------------------------------------------------------------------------------------------------

DEBUG = _environment.read(SiteSettings.DEBUG)
# For the console, and for S3 in addition to addresses, single labels and localhost (post3/s3/hosts.py).
ALLOWED_HOSTS = [*_environment.read(SiteSettings.ALLOWED_HOSTS), in_url(parse_console_host(POST3_CONSOLE_HOST).host)]
CSRF_TRUSTED_ORIGINS = _environment.read(SiteSettings.CSRF_TRUSTED_ORIGINS)
_environment.check_names(Settings, SiteSettings)

INSTALLED_APPS = [
    "post3_site",
    "post3",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]
# Only for the console. post3/server/handlers.py routes S3 requests around the middleware.
MIDDLEWARE = [
    "post3_site.middleware.ConsoleOnItsOriginOnly",
    "django.middleware.security.SecurityMiddleware",
    "post3_site.shown.VisibleTextMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "post3_site.middleware.CookiesOfThisHost",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "post3_site.middleware.CsrfSecretInTheSession",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "post3_site.authentication.TooManyGuessesMiddleware",
]
AUTHENTICATION_BACKENDS = ["post3_site.authentication.Backend"]
# post3/server/pages.py limits the size of bodies. Uploaded files stay in memory, because the disk is for objects.
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]
DATA_UPLOAD_MAX_NUMBER_FILES = 10
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
ROOT_URLCONF = "post3_site.urls"
ASGI_APPLICATION = "post3_site.asgi.application"

# A path that cannot be the name of a bucket. The finders list the admin's files once at startup, so collectstatic is
# not needed and requests for unknown names do not access the disk.
STATIC_URL = "/_/static/"
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False
WHITENOISE_ALLOW_ALL_ORIGINS = False

# `post3_site/middleware.py` names these cookies `__Host-…` under TLS and removes Secure without TLS. docs/security.md
# explains why.
SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "post3_session", "post3_csrf"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = True
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"  # Django's default uses another cookie
X_FRAME_OPTIONS = "DENY"

# TLS ends at a proxy, which must be in POST3_TRUSTED_PROXIES for `request.is_secure()` to be true. S3, health and
# metrics bypass the middleware and are never redirected, because a redirected upload would already have been sent in
# plain text.
SECURE_SSL_REDIRECT = _environment.read(SiteSettings.TLS_REDIRECT)
SECURE_HSTS_SECONDS = _environment.read(SiteSettings.HSTS_SECONDS)
SECURE_HSTS_INCLUDE_SUBDOMAINS = _environment.read(SiteSettings.HSTS_INCLUDE_SUBDOMAINS)
SECURE_HSTS_PRELOAD = _environment.read(SiteSettings.HSTS_PRELOAD)
# Browsers' preload lists only accept whole registered domains, which are rarely used for a store alone.
SILENCED_SYSTEM_CHECKS = ["security.W021"]

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"()": "post3.visible.VisibleFormatter", "format": "{asctime} {levelname} {name}: {message}", "style": "{"},
        "bare": {"format": "{message}", "style": "{"},
    },
    "filters": {"host": {"()": "post3_site.refusals.OneLine"}},
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "line"},
        "stdout": {"class": "logging.StreamHandler", "formatter": "bare", "stream": "ext://sys.stdout"},
    },
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        # Django's and uvicorn's own handlers would log everything a second time.
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "django.security.DisallowedHost": {"handlers": [], "filters": ["host"], "propagate": True},
        "django.server": {"handlers": [], "propagate": True},
        "uvicorn": {"handlers": [], "propagate": True},
        "uvicorn.error": {"handlers": [], "propagate": True},
        # The JSON lines of POST3_REQUEST_LOG. They are separate from other logs so that a collector can parse them.
        "post3.requests": {"handlers": ["stdout"], "level": "INFO", "propagate": False},
        # Logging a request can cost more than the request itself. A proxy in front can write an access log. Without a
        # handler, uvicorn does not even prepare the line, which saves 5 µs per request.
        "uvicorn.access": {"handlers": [], "level": "WARNING", "propagate": False},
    },
}
