"""The console: a separate Django admin site for viewing the catalogue and managing API keys.

Everything except API keys is read-only. No page counts rows or sorts without an index, so that every page takes the
same few milliseconds with ten objects or ten million: see `admin/pages.py`.
"""

from . import accounts, api_keys, blobs, buckets, multipart, objects

__all__ = ["accounts", "api_keys", "blobs", "buckets", "multipart", "objects"]
