"""Read `/_/metrics` as Prometheus does."""

import time
import urllib.error
import urllib.request
from collections.abc import Callable

from prometheus_client.parser import text_string_to_metric_families

from ..servers import Server

#: Samples by name and label values, such as `samples["post3_requests_total", "GetObject", "200"]`. The values are in
#: the order of the label names.
Samples = dict[tuple[str, ...], float]
PATIENCE = 20.0


def get(server: Server, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], str]:
    """Request the metrics on a new connection. Return the status, headers (with lower-case names) and text."""
    request = urllib.request.Request(f"{server.url}/_/metrics", headers=headers or {})
    try:
        answer = urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        return answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.read().decode()


def scrape(server: Server, headers: dict[str, str] | None = None) -> Samples:
    status, _, text = get(server, headers)
    assert status == 200, text
    samples: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            place = (sample.name, *(value for _, value in sorted(sample.labels.items())))
            assert place not in samples, f"two samples of {place}"
            samples[place] = sample.value
    return samples


def grown(before: Samples, after: Samples) -> Samples:
    """Return the differences of the samples that have changed."""
    return {place: value - before.get(place, 0) for place, value in after.items() if value != before.get(place, 0)}


def wait_for(look: Callable[[], Samples], condition: Callable[[Samples], bool]) -> Samples:
    """Call `look` until the condition holds. A client gets its response before the server counts it."""
    deadline = time.monotonic() + PATIENCE
    while not condition(samples := look()):
        assert time.monotonic() < deadline, f"the condition did not become true: {samples}"
        time.sleep(0.05)
    return samples
