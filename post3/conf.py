"""The app's settings: name, type, default and one line of meaning each, read lazily from Django's settings.

A project sets them with the prefix `POST3_`; `checks.py` tells at start which one is wrong.
"""

from typing import Any

from django.conf import settings as django_settings

KIB, MIB, GIB, TIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40


class Setting:
    """One setting: `POST3_<NAME>` in Django's settings, or its default."""

    def __init__(self, default: Any) -> None:
        self.default = default

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = f"POST3_{name}"

    def __get__(self, instance: object, owner: type) -> Any:
        return getattr(django_settings, self.name, self.default)


class Settings:
    #: Storage class -> {"BACKEND": dotted path, "OPTIONS": {...}}; must hold "STANDARD".
    STORAGES: dict[str, dict[str, Any]] = Setting({"STANDARD": {"BACKEND": "post3.storage.database.DatabaseStorage"}})
    #: The region this server says it is.
    REGION: str = Setting("us-east-1")
    #: Where clients reach S3, with the path it is mounted at, like `https://example.com/s3`: what URLs begin with that
    #: `post3.contrib.storage` makes.
    PUBLIC_ORIGIN: str = Setting("")
    #: Bytes one PUT or part may hold.
    MAX_BODY_SIZE: int = Setting(5 * GIB)
    #: Bytes one object may hold.
    MAX_OBJECT_SIZE: int = Setting(5 * TIB)
    #: Bytes every part but the last must hold.
    MIN_PART_SIZE: int = Setting(5 * MIB)
    #: Seconds a request's clock may differ from ours.
    MAX_CLOCK_SKEW: int = Setting(15 * 60)
    #: Seconds a looked-up API key is believed; a revoked key is refused at most this much later.
    API_KEY_CACHE_SECONDS: float = Setting(1.0)
    #: Seconds released bytes are kept, so that a running download never loses them.
    GARBAGE_GRACE_SECONDS: int = Setting(3600)
    #: Seconds an upload may go without progress before its bytes are collected.
    PENDING_UPLOAD_SECONDS: int = Setting(24 * 3600)
    #: Bytes a second that workers read to find damaged ones, all of them together; 0: none. 4 MiB are a hundredth of what one
    #: SATA SSD reads, and a terabyte in three days.
    SCRUB_BYTES_PER_SECOND: int = Setting(4 * MIB)
    #: Seconds after the last part that came (or the beginning) until a multipart upload that nobody ends is aborted; 0: never.
    MULTIPART_UPLOAD_SECONDS: int = Setting(7 * 24 * 3600)
    #: Worker threads of one server process that answer requests; each keeps one database connection. Few, because they share
    #: Python's lock: 4 gave 1.2 to 1.7 times the GETs of 16, and no fewer PUTs (D13).
    THREADS: int = Setting(4)
    #: Further threads of one server process that run at once for bodies too large to be buffered; each keeps one database
    #: connection.
    UPLOAD_THREADS: int = Setting(16)
    #: Large bodies of one server process that may wait for slow clients beside those; they keep no database connection.
    PARKED_UPLOADS: int = Setting(1000)
    #: Requests a second that one API key may make of one server process, a second's worth at once; 0: any number.
    KEY_REQUESTS_PER_SECOND: float = Setting(0.0)
    #: Whether requests are counted and `/_/metrics` tells.
    METRICS: bool = Setting(True)
    #: What `/_/metrics` must be asked with, as `Authorization: Bearer …`; empty: anybody may ask.
    METRICS_TOKEN: str = Setting("")
    #: Directory, on this machine, by which several server processes count together; empty: gunicorn's processes under
    #: `post3_site.gunicorn` do in one of their own, any other process counts for itself.
    METRICS_DIR: str = Setting("")
    #: Whether each S3 request is written as a line of JSON on the logger `post3.requests`.
    REQUEST_LOG: bool = Setting(False)
    #: Bytes that the line and the headers of one request may have together.
    MAX_HEAD_SIZE: int = Setting(16 * KIB)
    #: Seconds from a request's first byte, or from the connection, until its headers must be there; 0: any time.
    HEAD_TIMEOUT: float = Setting(30.0)
    #: Seconds of waiting for a body in which at least 16 KiB, or the rest, must come; 0: any time.
    BODY_TIMEOUT: float = Setting(60.0)
    #: Seconds in which a client must take at least a byte of its answer; 0: any time.
    SEND_TIMEOUT: float = Setting(300.0)


conf = Settings()
