"""Metrics for Prometheus: a plain Django view, without S3's authentication.

It goes around the middleware, whose host check would refuse a scrape by address.
"""

from django.http import HttpRequest, HttpResponse
from django.utils.crypto import constant_time_compare
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from ..conf import conf
from ..exposition import expose


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Tell the sums of all server processes, to anybody or, with POST3_METRICS_TOKEN, to who sends it."""
    if not conf.METRICS:
        return HttpResponse("Metrics are switched off (POST3_METRICS).\n", content_type="text/plain", status=404)
    expected = f"Bearer {conf.METRICS_TOKEN}"
    if conf.METRICS_TOKEN and not constant_time_compare(request.headers.get("Authorization", ""), expected):
        refused = HttpResponse("Send POST3_METRICS_TOKEN as a bearer token.\n", content_type="text/plain", status=401)
        refused.headers["WWW-Authenticate"] = "Bearer"
        return refused
    body, content_type = expose(request.headers.get("Accept", ""))
    return HttpResponse(body, content_type=content_type)


metrics.goes_around_middleware = True
