"""What the file system storage calls its files.

`<bucket>/<xx>/<percent-encoded key>.<unique id>`, `….json` its description, `<bucket>/bucket.json` that of the bucket.
"""

import re
from urllib.parse import quote

#: What a file system allows in one name, less the dot, the unique id and the sidecar's suffix.
MAX_KEY_PART = 255 - len("." + "0" * 32) - len(".json")

BUCKET = r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,254}"
# The only names this storage makes; anything else, such as one with "..", is refused before it reaches the file system.
NAME = re.compile(rf"({BUCKET})/([0-9a-f]{{2}})/([A-Za-z0-9_~%-]*\.[0-9a-f]{{32}}(?:\.json)?)", re.ASCII)
# Of the bucket itself: one level above all blobs, so that no key can come to have this name.
BUCKET_DESCRIPTION = re.compile(rf"{BUCKET}/bucket\.json", re.ASCII)


def encode_key(key: str) -> str:
    """Percent-encode all but letters, digits, `_` and `-`; where too long, cut (between characters' bytes) and append `~`."""
    encoded = quote(key, safe="").replace(".", "%2E").replace("~", "%7E")
    if len(encoded) <= MAX_KEY_PART:
        return encoded
    return re.sub(r"%[0-9A-F]?$", "", encoded[: MAX_KEY_PART - 1]) + "~"
