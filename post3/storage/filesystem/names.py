"""The file names of the file system storage.

A blob is `<bucket>/<xx>/<percent-encoded key>.<unique id>`, made from the hint `<bucket>/<key>`. Its description has
the same name plus `.json`. The bucket's description is `<bucket>/bucket.json`.
"""

import re
import uuid
from urllib.parse import quote

from ..base import StorageError

#: What the file names of descriptions end in.
DESCRIPTION = ".json"

#: The longest name that file systems allow, minus the dot, the unique id and the sidecar's suffix.
MAX_KEY_PART = 255 - len("." + "0" * 32) - len(DESCRIPTION)

BUCKET = r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}"
# The only names this storage creates. Any other name, such as one with "..", is refused before any file access.
NAME = re.compile(rf"({BUCKET})/([0-9a-f]{{2}})/([A-Za-z0-9_~%-]*\.[0-9a-f]{{32}}(?:\.json)?)", re.ASCII)
# The description of the bucket itself: one level above all blobs, so that no key can get this name.
BUCKET_DESCRIPTION = re.compile(rf"{BUCKET}/bucket\.json", re.ASCII)


def new_name(hint: str) -> str:
    """Return the name of a new file. Raises StorageError if the hint's first segment cannot be a directory."""
    bucket, _, key = hint.partition("/")
    if not re.fullmatch(BUCKET, bucket):
        raise StorageError(f"{bucket!r} cannot be the name of a directory")
    unique = uuid.uuid4().hex
    return f"{bucket}/{unique[:2]}/{encode_key(key)}.{unique}"


def description_of(name: str) -> str:
    """Return the file name of the description of a blob."""
    return name + DESCRIPTION


def bucket_description(bucket: str) -> str:
    """Return the file name of the description of a bucket."""
    return f"{bucket}/bucket{DESCRIPTION}"


def encode_key(key: str) -> str:
    """Percent-encode all but letters, digits, `_` and `-`; if too long, cut (not within an escape) and append `~`."""
    encoded = quote(key, safe="").replace(".", "%2E").replace("~", "%7E")
    if len(encoded) <= MAX_KEY_PART:
        return encoded
    return re.sub(r"%[0-9A-F]?$", "", encoded[: MAX_KEY_PART - 1]) + "~"
