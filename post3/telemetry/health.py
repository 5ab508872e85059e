"""Health endpoints for load balancers and orchestrators: plain Django views, without S3's authentication.

They bypass the middleware, whose host check would refuse probes that address the server by IP address.
"""

from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from ..web.mount import around_middleware
from .readiness import FULL, READ_ONLY, check_readiness


@around_middleware
@never_cache
@require_safe
def live(request: HttpRequest) -> JsonResponse:
    """Return 200 as long as the process serves requests at all. If this fails, restart the process."""
    return JsonResponse({"status": "ok"})


@around_middleware
@never_cache
@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """Return 200 if the database and every storage work, else 503 and what failed. After a 503, send no requests.

    "degraded", with 200: reads are served, but nothing new can be written. Keep sending deletes, to free space.
    """
    checks = check_readiness()
    degraded = [name for name, outcome in checks.items() if outcome in (FULL, READ_ONLY)]
    failed = [name for name, outcome in checks.items() if outcome != "ok" and name not in degraded]
    status = "unavailable" if failed else "degraded" if degraded else "ok"
    answer = {"status": status, "failed": failed, "degraded": degraded, "checks": checks}
    return JsonResponse(answer, status=503 if failed else 200)
