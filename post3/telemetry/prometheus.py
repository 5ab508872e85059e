"""The metrics in Prometheus's formats, from the server processes' counts and the catalogue's figures.

Labels hold only names from a fixed set: no bucket, no key, and nothing that a client can invent.
"""

import platform
from collections.abc import Iterable, Iterator
from functools import cache

import django
from django.db import DEFAULT_DB_ALIAS, connections
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.utils import floatToGoString

from .. import __version__
from . import catalogue_figures
from .counters import BUCKETS, POOLS, Row, Sums, counts


class Post3Collector(Collector):
    """All metrics of post3, for a registry: the one below, or that of a project with post3 as an app."""

    def collect(self) -> Iterator[Metric]:
        sums, found = counts.read(), catalogue_figures.read_figures()
        yield from _requests(sums)
        yield from _processes(sums)
        yield _gauge("post3_catalogue_up", "Whether the database answered this scrape.", found is not None)
        if found is not None:
            yield from _backlog(found)
            yield from _stored(found.stored)
            yield from _work(found.work)
        build = GaugeMetricFamily("post3_build_info", "What runs; always 1.", labels=list(_build()))
        build.add_metric(list(_build().values()), 1)
        yield build

    def describe(self) -> Iterable[Metric]:
        """Return nothing, so that registering queries neither the processes nor the database."""
        return []


def expose(accept: str) -> tuple[bytes, str]:
    """Return the metrics and their content type, in the format that the Accept header requests."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Post3Collector())
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


def _requests(sums: Sums) -> Iterator[Metric]:
    seen = {name: row for name, row in sums.rows.items() if any(row.buckets)}
    requests = CounterMetricFamily("post3_requests", "S3 requests answered.", labels=["operation", "status"])
    seconds = HistogramMetricFamily(
        "post3_request_seconds", "Seconds from a request's head to the last byte of its answer.", labels=["operation"]
    )
    received = CounterMetricFamily("post3_received_bytes", "Bytes of request bodies received.", labels=["operation"])
    sent = CounterMetricFamily("post3_sent_bytes", "Bytes of answers' bodies sent.", labels=["operation"])
    broken = CounterMetricFamily("post3_answers_broken_off", "Answers not sent to their end.", labels=["operation"])
    for name, row in seen.items():
        for status, count in row.statuses.items():
            if count:
                requests.add_metric([name, str(status) if status else "none"], count)
        seconds.add_metric([name], _cumulative(row), row.seconds)
        received.add_metric([name], row.received)
        sent.add_metric([name], row.sent)
        broken.add_metric([name], row.broken_off)
    yield from (requests, seconds, received, sent, broken)
    limited = CounterMetricFamily("post3_requests_limited", "Requests refused because their key made too many a second.")
    limited.add_metric([], sums.limited)
    yield limited


def _cumulative(row: Row) -> list[tuple[str, float]]:
    total, buckets = 0, []
    for bound, count in zip((*BUCKETS, float("inf")), row.buckets, strict=True):
        total += count
        buckets.append((floatToGoString(bound), float(total)))  # type: ignore[no-untyped-call]  # has no annotations
    return buckets


def _processes(sums: Sums) -> Iterator[Metric]:
    yield _gauge("post3_server_processes", "Server processes that count together.", sums.processes)
    yield _gauge("post3_requests_in_flight", "S3 requests begun and not ended.", sums.gauges["in_flight"])
    yield _gauge("post3_database_connections", "Open database connections of server processes.", sums.gauges["connections"])
    threads = GaugeMetricFamily("post3_threads", "Worker threads of server processes.", labels=["pool", "state"])
    waiting = GaugeMetricFamily("post3_calls_waiting", "Calls that wait for a worker thread.", labels=["pool"])
    for pool, states in POOLS.items():
        for state in states:
            if state == "waiting":
                waiting.add_metric([pool], sums.gauges[f"{pool} {state}"])
            else:
                threads.add_metric([pool, state], sums.gauges[f"{pool} {state}"])
    yield from (threads, waiting)


def _backlog(found: catalogue_figures.Figures) -> Iterator[Metric]:
    most = f"counted up to {catalogue_figures.COUNT_AT_MOST}"
    yield _gauge("post3_garbage_blobs", f"Released blobs that wait for the worker, {most}.", found.garbage)
    yield _gauge("post3_garbage_bytes", f"Bytes of released blobs that wait for the worker, {most} blobs.", found.garbage_size)
    yield _gauge("post3_garbage_oldest_seconds", "Seconds since the oldest of them was released.", found.garbage_age)
    yield _gauge("post3_pending_blobs", f"Blobs being written, or abandoned, {most}.", found.pending)
    yield _gauge("post3_multipart_uploads", f"Multipart uploads neither completed nor aborted, {most}.", found.uploads)


def _stored(stored: dict[tuple[str, str], catalogue_figures.Amount]) -> Iterator[Metric]:
    for kind, thing in (
        (catalogue_figures.OBJECTS, "Object versions"),
        (catalogue_figures.BLOBS, "Blobs with their bytes stored"),
        (catalogue_figures.DAMAGED, "Blobs whose bytes are damaged"),
    ):
        count = GaugeMetricFamily(f"post3_stored_{kind}", f"{thing}, as the worker last counted.", labels=["storage_class"])
        size = GaugeMetricFamily(f"post3_stored_{kind}_bytes", f"{thing}: their bytes.", labels=["storage_class"])
        for storage_class, amount in ((name, amount) for (which, name), amount in stored.items() if which == kind):
            count.add_metric([storage_class], amount.count)
            size.add_metric([storage_class], amount.size)
        yield from (count, size)
    measured = GaugeMetricFamily("post3_stored_counted_timestamp_seconds", "When the worker last counted what is stored.")
    if stored:
        measured.add_metric([], max(amount.updated for amount in stored.values()))
    yield measured


def _work(work: dict[str, catalogue_figures.Amount]) -> Iterator[Metric]:
    count = CounterMetricFamily("post3_work", "Things that background work has done.", labels=["work"])
    size = CounterMetricFamily("post3_work_bytes", "Bytes of things that background work has done.", labels=["work"])
    updated = GaugeMetricFamily("post3_work_timestamp_seconds", "When background work last told.", labels=["work"])
    for name, amount in work.items():
        count.add_metric([name], amount.count)
        size.add_metric([name], amount.size)
        updated.add_metric([name], amount.updated)
    yield from (count, size, updated)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=float(value))


@cache
def _build() -> dict[str, str]:
    return {
        "version": __version__,
        "python": platform.python_version(),
        "django": django.get_version(),
        "database": connections[DEFAULT_DB_ALIAS].vendor,
    }
