"""Health and metrics, served at the addresses of both S3 and the console."""

from django.urls import path

from ..telemetry import health, metrics

urlpatterns = [
    path("_/health/live", health.live),
    path("_/health/ready", health.ready),
    path("_/metrics", metrics.metrics),
]
