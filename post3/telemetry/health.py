"""Health, for load balancers and orchestrators: plain Django views, without S3's authentication.

They go around the middleware, whose host check would refuse probes that ask by address.
"""

from django.http import HttpRequest, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from .readiness import FULL, READ_ONLY, check_readiness


@never_cache
@require_safe
def live(request: HttpRequest) -> JsonResponse:
    """Answer 200 as long as the process serves requests at all. Restart it where this fails."""
    return JsonResponse({"status": "ok"})


@never_cache
@require_safe
def ready(request: HttpRequest) -> JsonResponse:
    """Answer 200 where the database and every storage work, else 503, and which failed. Send it no requests then.

    "degraded", with 200: reads are served, and nothing new can be written. Deletes must still come here, to make room.
    """
    checks = check_readiness()
    degraded = [name for name, outcome in checks.items() if outcome in (FULL, READ_ONLY)]
    failed = [name for name, outcome in checks.items() if outcome != "ok" and name not in degraded]
    status = "unavailable" if failed else "degraded" if degraded else "ok"
    answer = {"status": status, "failed": failed, "degraded": degraded, "checks": checks}
    return JsonResponse(answer, status=503 if failed else 200)


live.goes_around_middleware = ready.goes_around_middleware = True
