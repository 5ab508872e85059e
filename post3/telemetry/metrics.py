"""Metrics for Prometheus: a plain Django view, without S3's authentication.

It bypasses the middleware, whose host check would refuse a scrape by IP address.
"""

from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from ..conf import conf
from ..web.mount import around_middleware
from ..web.proxies import is_loopback, was_forwarded
from .prometheus import expose


@around_middleware
@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Return the sums of all server processes to clients with POST3_METRICS_TOKEN or, if unset, on this machine."""
    if not conf.METRICS:
        return HttpResponse("Metrics are switched off (POST3_METRICS).\n", content_type="text/plain", status=404)
    if conf.METRICS_TOKEN:
        if not constant_time_compare(request.headers.get("Authorization", ""), f"Bearer {conf.METRICS_TOKEN}"):
            refused = HttpResponse("Send POST3_METRICS_TOKEN as a bearer token.\n", content_type="text/plain", status=401)
            refused.headers["WWW-Authenticate"] = "Bearer"
            return refused
    elif not _is_local(request):
        text = "Metrics are for this machine alone, without a proxy. For others, set POST3_METRICS_TOKEN and send it.\n"
        return HttpResponse(text, content_type="text/plain", status=403)
    body, content_type = expose(request.headers.get("Accept", ""))
    return HttpResponse(body, content_type=content_type)


def _is_local(request: HttpRequest) -> bool:
    """Whether the request came over loopback and names no proxy, trusted or not: the address is then the socket's."""
    return is_loopback(request.META.get("REMOTE_ADDR", "")) and not was_forwarded(request.headers)
