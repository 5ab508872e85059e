"""URLs served on the console's origin (POST3_CONSOLE_HOST): the console, health and metrics, but not S3."""

from django.urls import include, path
from django.views.generic import RedirectView

from ..api.probe_urls import urlpatterns as probes
from ..web.origins import CONSOLE_INDEX

urlpatterns = [
    path("", RedirectView.as_view(pattern_name=CONSOLE_INDEX)),
    path("", include("post3.console_urls")),
    *probes,
]

handler400 = "post3.api.views.pages.bad_request"
handler404 = "post3.api.views.pages.not_found"
