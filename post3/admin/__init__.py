"""The console: a Django admin of its own, for looking at the catalogue and for API keys.

Everything but API keys is read-only. No page counts rows or sorts what no index sorts, so that each takes the same
milliseconds with ten objects and with ten million: see `server/pages.py`.
"""

from . import accounts, api_keys, blobs, buckets, multipart, objects

__all__ = ["accounts", "api_keys", "blobs", "buckets", "multipart", "objects"]
