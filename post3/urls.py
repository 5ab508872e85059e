"""`path("", include("post3.urls"))`: health and metrics, and S3 for every other path.

The console is in `post3.console_urls`. Names of buckets contain no underscores, so `/_/` hides no bucket.
"""

from django.urls import re_path

from .api.dispatch import dispatch
from .api.probe_urls import urlpatterns as probes

urlpatterns = [
    *probes,
    # All but what else the project serves under `_/` (the console, static files). Not `.*`: a key may hold a newline.
    re_path(r"^(?!_/)(?P<path>[\s\S]*)\Z", dispatch),
]
