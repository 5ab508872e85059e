"""The app's settings. Each is declared once, with its name, type, default, range and a one-line description.

A project sets them in its Django settings with the prefix `POST3_`; they are read lazily. `checks.py` reports invalid
values at startup. The site reads these settings, and its own (`post3_site/conf.py`), from the environment.
"""

import os
import re
from collections.abc import Iterator, Mapping
from ipaddress import ip_network
from typing import Any

from .console_host import is_console_host
from .declaring import Problem, Setting, is_origin

KIB, MIB, GIB, TIB, PIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40, 1 << 50
HOUR, DAY = 3600, 24 * 3600
TEN_YEARS = 3650 * DAY


def is_network(text: str) -> bool:
    """Return whether the text is an IP network, an IP address or `unix`."""
    try:
        return text == "unix" or bool(ip_network(text))
    except ValueError:
        return False


class Settings:
    STORAGES = Setting[dict[str, dict[str, Any]]](
        {"STANDARD": {"BACKEND": "post3.storage.database.DatabaseStorage"}},
        help='maps storage classes to `{"BACKEND": dotted path, "OPTIONS": {...}}`; must contain `STANDARD`',
    )
    REGION = Setting(
        "us-east-1",
        help="the AWS region that the server reports",
        accepts=lambda text: bool(re.fullmatch(r"[a-z0-9-]{1,63}", text)),
        write="a region in lower-case letters, digits and hyphens, like us-east-1",
        check_id="post3.E011",
        basic=True,
    )
    PUBLIC_ORIGIN = Setting(
        "",
        help="the URL at which clients reach S3, including the path where it is mounted, like `https://s3.example.com`; "
        "`Post3Storage` builds URLs from it, and S3 accepts its host name",
        accepts=is_origin,
        write='the scheme, the host and the path where post3 is mounted, like "https://example.com/s3"',
        check_id="post3.E060",
        basic=True,
    )
    TRUSTED_PROXIES = Setting[list[str]](
        [],
        help="networks of the proxies whose `X-Forwarded-For`, `-Proto` and `-Host` headers are trusted, comma-separated, like "
        "`10.0.0.0/8,::1`; `unix` for peers on Unix sockets",
        accepts=is_network,
        write="networks and addresses, comma-separated, like 10.0.0.0/8,::1 (no host names, no *), or unix",
        check_id="post3.E018",
    )
    CONSOLE_HOST = Setting(
        "",
        shown="`127.0.0.1:9001`",
        help="the address of the console, separate from S3: `host:port` to listen on, a host name like `console.example.com`, "
        "or both (`docs/security.md`); in a Django project of your own, the console is by default wherever you mount it",
        accepts=is_console_host,
        write="host:port, like 127.0.0.1:9001, or a separate host name, like console.example.com",
        check_id="post3.E040",
        basic=True,
    )
    THREADS = Setting(
        # Few, because threads share the GIL: 4 served 1.2 to 1.7 times as many GETs as 16, and as many PUTs (D13).
        4,
        minimum=1,
        maximum=256,
        help="threads of a server process that handle requests; each keeps one database connection",
        basic=True,
    )
    UPLOAD_THREADS = Setting(
        16,
        minimum=1,
        maximum=1024,
        help="additional threads of a server process for bodies too large to buffer; each keeps one database connection",
        basic=True,
    )
    READ_THREADS = Setting(
        # With 50 ms for each piece, they read 320 pieces a second. More of them pay only if a storage is slower than
        # that.
        16,
        minimum=1,
        maximum=1024,
        help="additional threads of a server process that read larger objects piece by piece from a storage outside the "
        "database; none keeps a database connection",
        basic=True,
    )
    CONSOLE_THREADS = Setting(
        # Checking a password occupies a thread for half a second.
        2,
        minimum=1,
        maximum=64,
        help="threads of a server process for the console and everything else except S3; each keeps one database connection",
    )
    MAX_FORM_SIZE = Setting(MIB, minimum=16 * KIB, maximum=GIB, help="bytes allowed in the body of a request to the console")
    LOGIN_GUESSES = Setting(
        5,
        maximum=1000,
        help="wrong passwords allowed in a row for one user name from one address, then one a minute; 0: no limit. One address "
        "may try four times as many for all names; one name allows six times as many from addresses it has not logged in from",
    )
    PARKED_UPLOADS = Setting(
        1000,
        maximum=100_000,
        help="additional large bodies of a server process that may wait for slow clients, without a database connection",
    )
    KEY_REQUESTS_PER_SECOND = Setting(
        0.0,
        maximum=1_000_000,
        help="requests a second allowed for one access key in one server process; further ones get `SlowDown`; 0: no limit",
    )
    METRICS = Setting(True, help="whether requests are counted and exported as Prometheus metrics at `/_/metrics`")
    METRICS_TOKEN = Setting(
        "",
        help="the bearer token required by `/_/metrics`; if empty, only requests from this machine that did not pass through a "
        "proxy are allowed",
        accepts=lambda text: bool(re.fullmatch(r"[\x21-\x7e]*", text)),
        write="printable ASCII characters without spaces, or leave it out",
        check_id="post3.E014",
        secret=True,
    )
    METRICS_DIR = Setting(
        "",
        help="directory on this machine where several server processes share their metrics; not needed under gunicorn",
        accepts=os.path.isabs,
        write="the absolute path of a directory on this machine that the server may create or write to",
        check_id="post3.E013",
    )
    REQUEST_LOG = Setting(False, help="whether each S3 request is logged as a line of JSON on standard output")
    GARBAGE_GRACE_SECONDS = Setting(
        HOUR, maximum=TEN_YEARS, help="seconds to keep bytes after their last reference is gone, for downloads in progress"
    )
    PENDING_UPLOAD_SECONDS = Setting(
        DAY, maximum=TEN_YEARS, help="seconds without progress after which the bytes of an upload are considered abandoned"
    )
    MULTIPART_UPLOAD_SECONDS = Setting(
        7 * DAY,
        maximum=TEN_YEARS,
        help="seconds after its last part until an unfinished multipart upload is aborted; 0: never",
    )
    SCRUB_BYTES_PER_SECOND = Setting(
        # A hundredth of the read rate of one SATA SSD; covers a terabyte in three days.
        4 * MIB,
        maximum=TIB,
        help="bytes a second that all workers together read to find damage; 0: none",
    )
    MAX_HEAD_SIZE = Setting(
        # S3 itself accepts 8 KiB of headers, and a key may take up 3 KiB of the request line.
        16 * KIB,
        minimum=8 * KIB,
        maximum=MIB,
        help="bytes allowed in the request line and the headers together",
    )
    HEAD_TIMEOUT = Setting(
        30.0,
        maximum=DAY,
        help="seconds from the first byte, or the connection, until a request's headers must be complete; 0: no limit",
    )
    BODY_TIMEOUT = Setting(
        60.0, maximum=DAY, help="seconds of waiting within which 16 KiB of a body, or its rest, must arrive; 0: no limit"
    )
    SEND_TIMEOUT = Setting(
        300.0, maximum=DAY, help="seconds within which a client must read at least one byte of the response; 0: no limit"
    )
    MAX_BODY_SIZE = Setting(5 * GIB, minimum=1, maximum=PIB, help="bytes allowed in one PUT or part")
    MAX_OBJECT_SIZE = Setting(5 * TIB, minimum=1, maximum=PIB, help="bytes allowed in one object")
    MIN_PART_SIZE = Setting(5 * MIB, minimum=1, maximum=PIB, help="bytes required in every part except the last")
    MAX_CLOCK_SKEW = Setting(15 * 60, maximum=DAY, help="seconds by which the time of a signature may differ from the server's")
    API_KEY_CACHE_SECONDS = Setting(
        1.0, maximum=HOUR, help="seconds that API keys are cached; a revoked key is refused after at most this time"
    )


#: Pairs of settings. The first of each pair must not exceed the second.
ORDERED = (("POST3_MIN_PART_SIZE", "POST3_MAX_BODY_SIZE"), ("POST3_MAX_BODY_SIZE", "POST3_MAX_OBJECT_SIZE"))


def find_disorder(values: Mapping[str, Any]) -> Iterator[Problem]:
    """Yield a problem for each pair in `ORDERED` whose values contradict each other.

    `values` holds the settings that are valid on their own.
    """
    for less, more in ORDERED:
        if less in values and more in values and values[less] > values[more]:
            message = f"{less} ({values[less]}) is more than {more} ({values[more]})."
            yield Problem("post3.E015", message, f"Write a smaller {less} or a larger {more}.")


conf = Settings()
