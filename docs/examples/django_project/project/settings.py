"""The settings of an ordinary Django project. Those that post3 needs are marked."""

import os
from pathlib import Path

import dj_database_url

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(os.environ.get("DATA_DIR", BASE_DIR / "var"))
DATA_DIR.mkdir(parents=True, exist_ok=True)

# API keys are encrypted with it too. Keep a real one out of the code.
SECRET_KEY = os.environ.get("SECRET_KEY", "only-for-this-example-0123456789-0123456789-0123456789")
DEBUG = False
ALLOWED_HOSTS = ["localhost", "127.0.0.1"]

INSTALLED_APPS = [
    "documents",
    "post3",  # post3
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
ROOT_URLCONF = "project.urls"
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

# The catalogue is the project's default database: SQLite, or the PostgreSQL in DATABASE_URL.
DATABASES = {"default": dj_database_url.config(default=f"sqlite:///{DATA_DIR}/db.sqlite3", conn_max_age=None)}
DATABASES["default"]["ATOMIC_REQUESTS"] = True
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # post3: writers wait for each other instead of failing, and readers do not wait.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 30,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL",
    }
    # post3: store bytes as files. Without this setting they are blocks in the database.
    POST3_STORAGES = {
        "STANDARD": {
            "BACKEND": "post3.storage.filesystem.FilesystemStorage",
            "OPTIONS": {"location": str(DATA_DIR / "objects")},
        },
    }

# post3: this project's uploads are objects in the bucket "documents".
STORAGES = {
    "default": {
        "BACKEND": "post3.contrib.storage.Post3Storage",
        "OPTIONS": {"bucket": "documents", "create_bucket": True, "owner": "documents"},
    },
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
# post3: the address at which browsers reach it, for the URLs of files.
POST3_PUBLIC_ORIGIN = os.environ.get("PUBLIC_ORIGIN", "http://127.0.0.1:8000/s3")

STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True

# The number of documents that the pages allow.
MAX_DOCUMENTS = int(os.environ.get("MAX_DOCUMENTS", "1000"))
