"""`path("", include("post3.urls"))`: the console, health, and S3 for every other path.

A bucket name can hold no underscore, so `/_/` shadows no bucket.
"""

from django.contrib import admin
from django.urls import path, re_path

from .dispatch import dispatch
from .views import health, metrics

urlpatterns = [
    path("_/admin/", admin.site.urls),
    path("_/health/live", health.live),
    path("_/health/ready", health.ready),
    path("_/metrics", metrics.metrics),
    # All but what else the project serves under `_/` (static files). Not `.*`: a key may hold a newline.
    re_path(r"^(?!_/)(?P<path>[\s\S]*)\Z", dispatch),
]
