"""Health and metrics, which S3's address and the console's have both."""

from django.urls import path

from ..telemetry import health, metrics

urlpatterns = [
    path("_/health/live", health.live),
    path("_/health/ready", health.ready),
    path("_/metrics", metrics.metrics),
]
