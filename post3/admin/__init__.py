"""The console: Django's admin, for looking at the catalogue and for API keys.

Everything but API keys is read-only. No page counts rows or sorts what no index sorts, so that each takes the same
milliseconds with ten objects and with ten million: see `pages.py`.
"""

from django.contrib import admin

from . import accounts, api_keys, blobs, buckets, multipart, objects

__all__ = ["accounts", "api_keys", "blobs", "buckets", "multipart", "objects"]

admin.site.site_header = "post3"
admin.site.site_title = "post3"
admin.site.index_title = "Console"
admin.site.site_url = None  # at "/" there is S3, which answers a browser with this console
