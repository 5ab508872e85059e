"""Settings that only the site has. They are declared like the app's (`post3/conf.py`) and read from the environment.

`settings.py` sets the defaults that depend on other settings. `shown` describes such defaults in the documentation.
"""

import re
from urllib.parse import urlsplit

from post3.declaring import Setting, is_address

#: Minimum length of the secret in characters. 32 hexadecimal digits are 128 bits.
LEAST_SECRET = 32


def is_host_pattern(text: str) -> bool:
    """Return whether the text is valid in ALLOWED_HOSTS: a name, `.name` with its subdomains, an address or `*`."""
    return bool(re.fullmatch(r"\*|\.?[a-z0-9]([a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]*:[0-9a-f:.]*\]", text, re.IGNORECASE))


def is_browser_origin(text: str) -> bool:
    """Return whether the text is an origin: scheme, host and port without a path. `*.` stands for any subdomain."""
    try:
        parts = urlsplit(text)
        is_whole = f"{parts.scheme}://{parts.netloc}" == text and "@" not in text and parts.port != 0
    except ValueError:
        return False
    return is_whole and parts.scheme in ("http", "https") and is_host_pattern((parts.hostname or "").removeprefix("*."))


class SiteSettings:
    DATABASE_URL = Setting(
        "",
        variable="DATABASE_URL",
        shown="SQLite at `var/catalogue.sqlite3`",
        help="`postgresql://user:password@host:5432/name` stores the catalogue in PostgreSQL (15 to 18), and also the bytes "
        "unless `POST3_STORAGE` says otherwise",
        secret=True,
        basic=True,
    )
    HOST = Setting(
        "127.0.0.1:9000",
        help="address on which `make run`, `post3 serve` and gunicorn listen",
        accepts=is_address,
        write="host:port, like 127.0.0.1:9000 or [::1]:9000",
        check_id="post3.E004",
        basic=True,
    )
    STORAGE = Setting(
        "",
        choices=("filesystem", "database"),
        shown="`filesystem` on SQLite, `database` on PostgreSQL",
        help="where bytes are stored: in files under the data directory, or in 1 MiB blocks in the database",
        check_id="post3.E002",
        basic=True,
    )
    DATA_DIR = Setting("", shown="`var`", help="directory for files, the SQLite catalogue and the generated secret", basic=True)
    SECRET_KEY = Setting(
        "",
        shown="generated and stored in the data directory on SQLite; required on PostgreSQL",
        help="decrypts the stored API keys and signs console sessions; keep it safe",
        accepts=lambda text: len(text) >= LEAST_SECRET,
        write="50 or more random characters, the same for all processes, and keep them safe: they decrypt the API keys; "
        f"fewer than {LEAST_SECRET} are refused",
        check_id="post3.E006",
        secret=True,
        basic=True,
    )
    SECRET_KEY_FALLBACKS = Setting[list[str]]([], help="previous secrets, comma-separated, during a rotation", secret=True)
    ALLOWED_HOSTS = Setting[list[str]](
        ["localhost", "127.0.0.1", "[::1]"],
        help="host names of the console, and of S3 in addition to IP addresses, names without dots and `localhost`, "
        "comma-separated; `.example.com` includes all subdomains, `*` allows any host",
        accepts=is_host_pattern,
        write="host names without scheme, port and path, comma-separated: s3.example.com, .example.com, 10.0.0.1, [::1]",
        check_id="post3.E017",
        basic=True,
    )
    CSRF_TRUSTED_ORIGINS = Setting[list[str]](
        [],
        help="origins of the console behind a proxy, like `https://s3.example.com`, comma-separated",
        accepts=is_browser_origin,
        write="origins with a scheme and without a path, comma-separated, like https://s3.example.com",
        check_id="post3.E008",
    )
    TLS_REDIRECT = Setting(
        False, help="whether the console redirects to HTTPS and sends its cookies only over TLS; S3 never redirects"
    )
    HSTS_SECONDS = Setting(
        0, maximum=10 * 366 * 24 * 3600, help="seconds for which browsers must reach the console by HTTPS (HSTS); 0: off"
    )
    HSTS_INCLUDE_SUBDOMAINS = Setting(False, help="whether HSTS includes all subdomains of the console's host")
    HSTS_PRELOAD = Setting(False, help="whether browsers may add the console's host to their HSTS preload lists")
    DEBUG = Setting(False, help="whether the console shows Django's debug pages")
